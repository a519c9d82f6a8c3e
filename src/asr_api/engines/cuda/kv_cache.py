"""Keys and values that rows attend to, at addresses that never change, because CUDA graphs remember them.

A slot holds what one window heard, a row what one text of a window said so far: several rows may share a slot. Knows
nothing about tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asr_api.engines.whisper.config import WhisperConfig


@dataclass(frozen=True, slots=True, eq=False)
class Caches:
    """cross_keys, cross_values: (n_layer, n_slots, n_head, n_audio_ctx, d_head)
    self_keys, self_values:   (n_layer, n_rows, n_head, n_text_ctx, d_head)
    """

    cross_keys: Tensor
    cross_values: Tensor
    self_keys: Tensor
    self_values: Tensor

    @property
    def n_slots(self) -> int:
        return int(self.cross_keys.shape[1])

    @property
    def n_rows(self) -> int:
        return int(self.self_keys.shape[1])

    def copy_text(self, source: int, targets: Tensor, num_tokens: int) -> None:
        """The first tokens that row `source` was fed, into other rows. targets: (n,) int64"""
        for cache in (self.self_keys, self.self_values):
            cache[:, targets, :, :num_tokens] = cache[:, source : source + 1, :, :num_tokens]

    def reorder(self, sources: Tensor, targets: Tensor, num_tokens: int) -> None:
        """Each target row becomes its source row, all at once. sources, targets: (n,) int64"""
        for cache in (self.self_keys, self.self_values):
            for layer in cache:  # the right side is a copy, which of all layers at once would be a gigabyte
                layer[targets, :, :num_tokens] = layer[sources, :, :num_tokens]


def open_caches(config: WhisperConfig, n_slots: int, n_rows: int, device: torch.device, dtype: torch.dtype) -> Caches:
    """Raises torch.OutOfMemoryError where they do not fit."""
    n_layer, n_head, d_head = config.n_text_layer, config.n_text_head, config.n_state // config.n_text_head
    cross, own = (
        (n_layer, n, n_head, ctx, d_head) for n, ctx in ((n_slots, config.n_audio_ctx), (n_rows, config.n_text_ctx))
    )
    # Zeros: what is masked still counts zero times, so it must not be NaN.
    return Caches(*(torch.zeros(dims, device=device, dtype=dtype) for dims in (cross, cross, own, own)))


def slot_bytes(config: WhisperConfig, dtype: torch.dtype) -> int:
    return int(2 * config.n_text_layer * config.n_audio_ctx * config.n_state * dtype.itemsize)


def row_bytes(config: WhisperConfig, dtype: torch.dtype) -> int:
    return int(2 * config.n_text_layer * config.n_text_ctx * config.n_state * dtype.itemsize)
