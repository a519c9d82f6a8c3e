"""The keys and values that rows attend to, as plain arrays.

What a window heard is written once, by the encoder, straight into its row; what a row said is written token by token,
by the decoder. Pages are touched only when they are first written, so unused rows and positions cost no memory. Knows
nothing about tokens or graphs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.onnx.session import Array
from asr_api.engines.whisper.config import WhisperConfig

Integers = NDArray[np.int64]


class CrossCache:
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
        """What the windows in these rows heard, by the names that encoder and decoder have for it; no copies."""
        return {name: cache[rows] for name, cache in (self._caches | self._scales).items()}

    def new_views(self, rows: slice) -> dict[str, Array]:
        """The decoder's results of the same place."""
        return {f"new_{name}": cache[rows] for name, cache in self._caches.items()}

    def copy(self, source: int, target: int) -> None:
        for cache in (*self._caches.values(), *self._scales.values()):
            cache[target] = cache[source]


class SelfCache:
    """Of each layer: keys and values, (n_rows, n_head, n_text_ctx, d_head) float32."""

    def __init__(self, config: WhisperConfig, n_rows: int) -> None:
        dims = (n_rows, config.n_text_head, config.n_text_ctx, config.n_state // config.n_text_head)
        names = [f"self_{kind}.{layer}" for layer in range(config.n_text_layer) for kind in ("keys", "values")]
        self._caches = {name: np.zeros(dims, np.float32) for name in names}

    def views(self, rows: slice) -> dict[str, Array]:
        """What these rows said, by the decoder's names; no copies."""
        return {name: cache[rows] for name, cache in self._caches.items()}

    def new_views(self, rows: slice) -> dict[str, Array]:
        """The decoder's results of the same place."""
        return {f"new_{name}": cache[rows] for name, cache in self._caches.items()}

    def copy(self, sources: slice | Integers, targets: slice, num_tokens: int) -> None:
        """The first tokens of some rows into others; of one row into each of several."""
        for cache in self._caches.values():
            cache[targets, :, :num_tokens] = cache[sources, :, :num_tokens]

    def take_over(self, other: SelfCache, source: int, targets: slice, num_tokens: int) -> None:
        """The first tokens of a row of another cache into each of several."""
        for name, cache in self._caches.items():
            cache[targets, :, :num_tokens] = other.views(slice(source, source + 1))[name][:, :, :num_tokens]
