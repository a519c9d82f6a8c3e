"""KV caches of the decoder as plain arrays: cross-attention per window, self-attention per row.

The encoder and the decoder write into them in place. Pages are touched only when they are first written, so unused
rows and positions cost no memory.
"""

from __future__ import annotations

import numpy as np

from asr_api.engines.onnx.session import Array
from asr_api.engines.whisper.arrays import Integers
from asr_api.engines.whisper.config import WhisperConfig


class KvCache:
    """Keys and values of each layer and, in 8 bits, their scales, by their names in the graphs."""

    def __init__(self, caches: dict[str, Array], scales: dict[str, Array]) -> None:
        self._caches = caches
        self._scales = scales

    def views(self, rows: slice) -> dict[str, Array]:
        """All arrays at these rows; no copies."""
        return {name: cache[rows] for name, cache in (self._caches | self._scales).items()}

    def new_views(self, rows: slice) -> dict[str, Array]:
        """The keys and values by the names of the decoder's outputs; the same memory."""
        return {f"new_{name}": cache[rows] for name, cache in self._caches.items()}


class CrossKvCache(KvCache):
    """(n_rows, n_head, n_audio_ctx, d_head) int8 or float32, one row for each window; scales (n_rows, 1, n_state)."""

    def __init__(self, config: WhisperConfig, n_rows: int, *, is_int8: bool) -> None:
        dims = (n_rows, config.n_text_head, config.n_audio_ctx, config.n_state // config.n_text_head)
        self.n_rows = n_rows
        parts = [(kind, layer) for layer in range(config.n_text_layer) for kind in ("key", "value")]
        caches: dict[str, Array] = {
            f"cross_{kind}s.{layer}": np.zeros(dims, np.int8) if is_int8 else np.zeros(dims, np.float32)
            for kind, layer in parts
        }
        scales: dict[str, Array] = {
            f"{kind}_scales.{layer}": np.zeros((n_rows, 1, config.n_state), np.float32) for kind, layer in parts
        }
        super().__init__(caches, scales if is_int8 else {})

    def copy(self, source: int, target: int) -> None:
        for cache in (*self._caches.values(), *self._scales.values()):
            cache[target] = cache[source]


class SelfKvCache(KvCache):
    """(n_rows, n_head, n_text_ctx, d_head) float32."""

    def __init__(self, config: WhisperConfig, n_rows: int) -> None:
        dims = (n_rows, config.n_text_head, config.n_text_ctx, config.n_state // config.n_text_head)
        names = [f"self_{kind}.{layer}" for layer in range(config.n_text_layer) for kind in ("keys", "values")]
        super().__init__({name: np.zeros(dims, np.float32) for name in names}, {})

    def copy(
        self, sources: slice | Integers, targets: slice, num_tokens: int, other: SelfKvCache | None = None
    ) -> None:
        """Copies the first tokens of some rows, of this or another cache, to others, or of one row to several."""
        for name, cache in (other or self).views(slice(None)).items():
            self._caches[name][targets, :, :num_tokens] = cache[sources, :, :num_tokens]
