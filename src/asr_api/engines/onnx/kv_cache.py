"""KV caches of the decoder as plain arrays: cross-attention per window, self-attention per row.

The encoder writes a window's cross-attention keys and values straight into its row; the decoder writes those of
self-attention token by token. Pages are touched only when they are first written, so unused rows and positions cost no
memory.
"""

from __future__ import annotations

import numpy as np

from asr_api.engines.onnx.session import Array
from asr_api.engines.whisper.arrays import Integers
from asr_api.engines.whisper.config import WhisperConfig


class CrossKvCache:
    """Of each layer: keys and values, (n_rows, n_head, n_audio_ctx, d_head), int8 or float32, one row for each window;
    in 8 bits also their scales, (n_rows, 1, n_state) float32.
    """

    def __init__(self, config: WhisperConfig, n_rows: int, *, is_int8: bool) -> None:
        dims = (n_rows, config.n_text_head, config.n_audio_ctx, config.n_state // config.n_text_head)
        self.n_rows = n_rows
        self._caches: dict[str, Array] = {}
        self._scales: dict[str, Array] = {}
        for layer in range(config.n_text_layer):
            for kind in ("key", "value"):
                name = f"cross_{kind}s.{layer}"
                self._caches[name] = np.zeros(dims, np.int8) if is_int8 else np.zeros(dims, np.float32)
                if is_int8:
                    self._scales[f"{kind}_scales.{layer}"] = np.zeros((n_rows, 1, config.n_state), np.float32)

    def views(self, rows: slice) -> dict[str, Array]:
        """Keys, values and scales of these rows by their names in the encoder's and the decoder's graph; no copies."""
        return {name: cache[rows] for name, cache in (self._caches | self._scales).items()}

    def new_views(self, rows: slice) -> dict[str, Array]:
        """The same memory by the names of the decoder's outputs."""
        return {f"new_{name}": cache[rows] for name, cache in self._caches.items()}

    def copy(self, source: int, target: int) -> None:
        for cache in (*self._caches.values(), *self._scales.values()):
            cache[target] = cache[source]


class SelfKvCache:
    """Of each layer: keys and values, (n_rows, n_head, n_text_ctx, d_head) float32."""

    def __init__(self, config: WhisperConfig, n_rows: int) -> None:
        dims = (n_rows, config.n_text_head, config.n_text_ctx, config.n_state // config.n_text_head)
        names = [f"self_{kind}.{layer}" for layer in range(config.n_text_layer) for kind in ("keys", "values")]
        self._caches = {name: np.zeros(dims, np.float32) for name in names}

    def views(self, rows: slice) -> dict[str, Array]:
        """Keys and values of these rows by their names in the decoder's graph; no copies."""
        return {name: cache[rows] for name, cache in self._caches.items()}

    def new_views(self, rows: slice) -> dict[str, Array]:
        """The same memory by the names of the decoder's outputs."""
        return {f"new_{name}": cache[rows] for name, cache in self._caches.items()}

    def copy(self, sources: slice | Integers, targets: slice, num_tokens: int) -> None:
        """Copies the first tokens of some rows to others, or of one row to each of several."""
        for cache in self._caches.values():
            cache[targets, :, :num_tokens] = cache[sources, :, :num_tokens]

    def copy_from(self, other: SelfKvCache, source: int, targets: slice, num_tokens: int) -> None:
        """Copies the first tokens of a row of another cache to each of several rows."""
        for name, cache in self._caches.items():
            cache[targets, :, :num_tokens] = other.views(slice(source, source + 1))[name][:, :, :num_tokens]
