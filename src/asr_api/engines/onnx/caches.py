"""The keys and values that the windows in the batch attend to, as plain arrays, one row for each window.

What a window heard is written once, by the encoder, straight into its row; what it said grows by one token each step.
Pages are touched only when a row is first used, so unused slots cost no memory. Knows nothing about tokens or graphs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.whisper.spec import WhisperSpec

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

GROWTH_TOKENS = 64  # the self-attention's room is a multiple of this, so that short texts read short caches


class Caches:
    """cross_keys:   (n_layer, n_slots, n_head, d_head, n_audio_ctx) float32
    cross_values: (n_layer, n_slots, n_head, n_audio_ctx, d_head)
    self_keys:    (n_layer, n_slots, n_head, d_head, n_cached)
    self_values:  (n_layer, n_slots, n_head, n_cached, d_head)
    """

    def __init__(self, spec: WhisperSpec, n_slots: int) -> None:
        n_head = spec.n_text_head
        d_head = spec.n_state // n_head
        self._n_layer = spec.n_text_layer
        self._outer = (spec.n_text_layer, n_slots, n_head)
        self._d_head = d_head
        self.cross_keys = np.zeros((*self._outer, d_head, spec.n_audio_ctx), np.float32)
        self.cross_values = np.zeros((*self._outer, spec.n_audio_ctx, d_head), np.float32)
        # Zeros, for a masked value still counts zero times: it must not be NaN.
        self.self_keys = np.zeros((*self._outer, d_head, GROWTH_TOKENS), np.float32)
        self.self_values = np.zeros((*self._outer, GROWTH_TOKENS, d_head), np.float32)

    def cross_views(self, row: int) -> dict[str, Floats]:
        """Where the encoder writes what the window in `row` heard, by the names of its results."""
        views = {}
        for layer in range(self._n_layer):
            views[f"cross_keys.{layer}"] = self.cross_keys[layer, row : row + 1]
            views[f"cross_values.{layer}"] = self.cross_values[layer, row : row + 1]
        return views

    def step_inputs(self, positions: Integers) -> dict[str, Floats]:
        """What a decoder step on rows 0 … len(positions)-1 reads, by name; views, not copies.

        positions: (rows,) how many tokens each row has cached
        """
        rows, n_cached = len(positions), self._fit(int(positions.max()) + 1, len(positions))
        mask = np.where(np.arange(n_cached) < positions[:, None], np.float32(0), np.float32(-np.inf))
        inputs: dict[str, Floats] = {"self_mask": mask[:, None, None, :]}
        for layer in range(self._n_layer):
            inputs[f"self_keys.{layer}"] = self.self_keys[layer, :rows]
            inputs[f"self_values.{layer}"] = self.self_values[layer, :rows]
            inputs[f"cross_keys.{layer}"] = self.cross_keys[layer, :rows]
            inputs[f"cross_values.{layer}"] = self.cross_values[layer, :rows]
        return inputs

    def store(self, positions: Integers, keys: Floats, values: Floats) -> None:
        """Appends a step's keys and values, each (n_layer, rows, n_head, d_head), to rows 0 … at `positions`."""
        rows = np.arange(len(positions))
        self.self_keys[:, rows, :, :, positions] = keys.swapaxes(0, 1)
        self.self_values[:, rows, :, positions] = values.swapaxes(0, 1)

    def move(self, source: int, target: int) -> None:
        for cache in (self.cross_keys, self.cross_values, self.self_keys, self.self_values):
            cache[:, target] = cache[:, source]

    def _fit(self, num_tokens: int, rows: int) -> int:
        """Makes room for `num_tokens` in each row, and gives back room nobody needs; returns the room."""
        room = self.self_values.shape[3]
        wanted = max(GROWTH_TOKENS, -(-num_tokens // GROWTH_TOKENS) * GROWTH_TOKENS)
        if wanted != room:
            kept = min(room, wanted)
            keys = np.zeros((*self._outer, self._d_head, wanted), np.float32)
            values = np.zeros((*self._outer, wanted, self._d_head), np.float32)
            keys[:, :rows, ..., :kept] = self.self_keys[:, :rows, ..., :kept]
            values[:, :rows, :, :kept] = self.self_values[:, :rows, :, :kept]
            self.self_keys, self.self_values = keys, values
        return wanted
