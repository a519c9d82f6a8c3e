"""KV cache at fixed addresses, as CUDA graphs need: cross-attention by slot, self-attention by row.

A slot holds the encoder states of one window, projected for every decoder layer. A row holds the keys and values of one
candidate text; several rows may attend to one slot (samples, beams).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asr_api.engines.whisper.config import WhisperConfig


@dataclass(frozen=True, slots=True, eq=False)
class KVCache:
    cross_keys: Tensor  # (n_layer, n_slots, n_head, n_audio_ctx, d_head)
    cross_values: Tensor  # the same
    self_keys: Tensor  # (n_layer, n_rows, n_head, n_text_ctx, d_head)
    self_values: Tensor  # the same

    @property
    def device(self) -> torch.device:
        return self.self_keys.device

    @property
    def n_rows(self) -> int:
        return int(self.self_keys.shape[1])

    def copy_row(self, source: int, targets: Tensor, num_tokens: int) -> None:
        """Copies the first tokens' keys and values of row `source` to other rows. targets: (n,) int64"""
        for cache in (self.self_keys, self.self_values):
            cache[:, targets, :, :num_tokens] = cache[:, source : source + 1, :, :num_tokens]

    def reorder_rows(self, sources: Tensor, targets: Tensor, num_tokens: int) -> None:
        """Each target row becomes its source row, all at once. sources, targets: (n,) int64"""
        for cache in (self.self_keys, self.self_values):
            for layer in cache:  # the right side is a copy, which would be a gigabyte for all layers at once
                layer[targets, :, :num_tokens] = layer[sources, :, :num_tokens]


def allocate_kv_cache(
    config: WhisperConfig, n_slots: int, n_rows: int, device: torch.device, dtype: torch.dtype
) -> KVCache:
    """Raises torch.OutOfMemoryError when it does not fit."""
    n_layer, n_head, d_head = config.n_text_layer, config.n_text_head, config.n_state // config.n_text_head
    cross = (n_layer, n_slots, n_head, config.n_audio_ctx, d_head)
    own = (n_layer, n_rows, n_head, config.n_text_ctx, d_head)
    # Zeros, because masked positions are multiplied by zero and must not be NaN.
    return KVCache(*(torch.zeros(dims, device=device, dtype=dtype) for dims in (cross, cross, own, own)))


def slot_bytes(config: WhisperConfig, dtype: torch.dtype) -> int:
    return int(2 * config.n_text_layer * config.n_audio_ctx * config.n_state * dtype.itemsize)


def row_bytes(config: WhisperConfig, dtype: torch.dtype) -> int:
    return int(2 * config.n_text_layer * config.n_text_ctx * config.n_state * dtype.itemsize)
