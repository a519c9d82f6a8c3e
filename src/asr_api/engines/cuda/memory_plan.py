"""Memory plan: how many slots and rows of KV cache fit on the device, and how many windows are encoded at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from asr_api.engines.cuda.kv_cache import row_bytes, slot_bytes
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.fallback import BEST_OF
from asr_api.engines.whisper.logmel import FRAME_SAMPLES, HOP_SAMPLES

# A batch of 11 windows of large-v3 fills the multiprocessors of an H100 almost evenly; a larger one hardly pays.
ENCODER_BATCH = 11
ENCODER_BATCH_ON_CPU = 2
# Part of the free memory that is kept for CUDA graphs, workspaces of libraries and other users of the GPU.
RESERVE = 0.1
RESERVE_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    n_slots: int  # windows held at once
    n_rows: int  # texts decoded at once
    max_batch: int  # windows encoded at once


def plan_memory(
    config: WhisperConfig, dtype: torch.dtype, wanted_slots: int, beam_size: int, free_bytes: int | None
) -> MemoryPlan | None:
    """The plan with the wanted slots, or with as many as fit; None when not even one fits.

    free_bytes: None on a CPU, whose memory is not planned
    """
    if free_bytes is None:
        return MemoryPlan(wanted_slots, num_rows(wanted_slots, beam_size), min(wanted_slots, ENCODER_BATCH_ON_CPU))
    usable_bytes = int(free_bytes * (1 - RESERVE)) - RESERVE_BYTES
    for n_slots in range(wanted_slots, 0, -1):
        n_rows = num_rows(n_slots, beam_size)
        cached_bytes = n_slots * slot_bytes(config, dtype) + n_rows * row_bytes(config, dtype)
        batches = range(min(n_slots, ENCODER_BATCH), 0, -1)
        least = batches[0] // 2  # fewer slots are better than encoding windows one by one
        for max_batch in batches:
            if max_batch <= least and n_slots > 1:
                break
            if cached_bytes + max_batch * encoding_bytes(config, dtype) <= usable_bytes:
                return MemoryPlan(n_slots, n_rows, max_batch)
    return None


def num_rows(n_slots: int, beam_size: int) -> int:
    """One row for each window, and some more, because temperature fallback needs several rows for a window."""
    return max(beam_size * n_slots, n_slots + max(BEST_OF - 1, n_slots // 2))


def encoding_bytes(config: WhisperConfig, dtype: torch.dtype) -> int:
    """Peak memory of encoding one window: in the hidden states, the spectrogram or the convolutions."""
    states = (3 * config.n_state + 2 * config.n_audio_hidden + 4 * config.n_state) * config.n_audio_ctx * dtype.itemsize
    samples = config.n_frames * (HOP_SAMPLES + 4 * FRAME_SAMPLES) * torch.float32.itemsize
    convolved = 3 * config.n_frames * config.n_state * dtype.itemsize
    return int(max(states, samples, convolved))
