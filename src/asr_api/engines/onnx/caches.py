"""The keys and values that rows attend to, as plain arrays.

What a window heard is written once, by the encoder, straight into its row; what a row said grows token by token. Pages
are touched only when a row is first used, so unused slots cost no memory. Knows nothing about tokens or graphs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.whisper.spec import WhisperSpec

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

GROWTH_TOKENS = 64  # the self-attention's room is a multiple of this, so that short texts read short caches


class CrossCache:
    """keys:   (n_layer, n_rows, n_head, d_head, n_audio_ctx) float32, one row for each window
    values: (n_layer, n_rows, n_head, n_audio_ctx, d_head)
    """

    def __init__(self, spec: WhisperSpec, n_rows: int) -> None:
        n_head, d_head = spec.n_text_head, spec.n_state // spec.n_text_head
        self.keys = np.zeros((spec.n_text_layer, n_rows, n_head, d_head, spec.n_audio_ctx), np.float32)
        self.values = np.zeros((spec.n_text_layer, n_rows, n_head, spec.n_audio_ctx, d_head), np.float32)

    @property
    def n_rows(self) -> int:
        return self.keys.shape[1]

    def views(self, first: int, num: int) -> dict[str, Floats]:
        """What the windows in rows first … heard, by the names that encoder and decoder have for it; no copies."""
        views = {}
        for layer in range(len(self.keys)):
            views[f"cross_keys.{layer}"] = self.keys[layer, first : first + num]
            views[f"cross_values.{layer}"] = self.values[layer, first : first + num]
        return views

    def copy(self, source: int, target: int) -> None:
        for cache in (self.keys, self.values):
            cache[:, target] = cache[:, source]


class SelfCache:
    """keys:   (n_layer, n_rows, n_head, d_head, n_cached) float32
    values: (n_layer, n_rows, n_head, n_cached, d_head)
    """

    def __init__(self, spec: WhisperSpec, n_rows: int) -> None:
        n_head, d_head = spec.n_text_head, spec.n_state // spec.n_text_head
        self._n_layer, self._n_head, self._d_head = spec.n_text_layer, n_head, d_head
        # Zeros, for a masked value still counts zero times: it must not be NaN.
        self.keys = np.zeros((spec.n_text_layer, n_rows, n_head, d_head, GROWTH_TOKENS), np.float32)
        self.values = np.zeros((spec.n_text_layer, n_rows, n_head, GROWTH_TOKENS, d_head), np.float32)

    @property
    def room(self) -> int:
        return self.values.shape[3]

    def views(self, first: int, num: int) -> dict[str, Floats]:
        """What rows first … said, by the decoder's names; no copies."""
        views = {}
        for layer in range(self._n_layer):
            views[f"self_keys.{layer}"] = self.keys[layer, first : first + num]
            views[f"self_values.{layer}"] = self.values[layer, first : first + num]
        return views

    def append(self, first: int, positions: Integers, keys: Floats, values: Floats) -> None:
        """A step's keys and values, each (rows, n_layer * n_state), to rows first … at `positions`, one for each."""
        shape = (len(positions), self._n_layer, self._n_head, self._d_head)
        rows = np.arange(first, first + len(positions))
        self.keys[:, rows, :, :, positions] = keys.reshape(shape)
        self.values[:, rows, :, positions] = values.reshape(shape)

    def fill(self, rows: slice, position: int, keys: Floats, values: Floats) -> None:
        """The same tokens into each of `rows`, from `position` on. keys, values: (tokens, n_layer * n_state)"""
        shape = (len(keys), self._n_layer, self._n_head, self._d_head)
        end = position + len(keys)
        self.keys[:, rows, :, :, position:end] = keys.reshape(shape).transpose(1, 2, 3, 0)[:, None]
        self.values[:, rows, :, position:end] = values.reshape(shape).transpose(1, 2, 0, 3)[:, None]

    def take_over(self, other: SelfCache, source: int, rows: slice, num_tokens: int) -> None:
        """The first tokens of a row of another cache into each of `rows`."""
        self.keys[:, rows, ..., :num_tokens] = other.keys[:, source : source + 1, ..., :num_tokens]
        self.values[:, rows, :, :num_tokens] = other.values[:, source : source + 1, :, :num_tokens]

    def copy(self, sources: slice | Integers, targets: slice) -> None:
        for cache in (self.keys, self.values):
            cache[:, targets] = cache[:, sources]

    def fit(self, num_tokens: int, rows: slice) -> None:
        """Makes room for `num_tokens` in each row, and gives back room nobody needs. rows: those whose text is kept"""
        room = max(GROWTH_TOKENS, -(-num_tokens // GROWTH_TOKENS) * GROWTH_TOKENS)
        if room == self.room:
            return
        kept = min(room, self.room)
        outer = self.keys.shape[:3]
        keys = np.zeros((*outer, self._d_head, room), np.float32)
        values = np.zeros((*outer, room, self._d_head), np.float32)
        keys[:, rows, ..., :kept] = self.keys[:, rows, ..., :kept]
        values[:, rows, :, :kept] = self.values[:, rows, :, :kept]
        self.keys, self.values = keys, values
