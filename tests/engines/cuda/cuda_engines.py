"""Opens CUDA engines for tests: on a GPU if there is one, otherwise on the CPU."""

from __future__ import annotations

from pathlib import Path

import torch

from asr_api.engines.cuda.engine import CudaEngine
from asr_api.engines.cuda.open_engine import open_cuda_engine
from asr_api.engines.protocol import EngineOptions
from tests.engines.transcribing import TracingBuilder

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def open_cuda(
    folder: Path,
    *,
    n_slots: int = 4,
    max_new_tokens: int = 448,
    beam_size: int = 1,
    dtype: torch.dtype = torch.float32,
    has_graphs: bool = True,
) -> CudaEngine:
    """dtype: float32, whatever the device, where tokens are compared; has_graphs: on a GPU"""
    options = EngineOptions(
        folder.name, folder, n_slots=n_slots, max_new_tokens=max_new_tokens, num_threads=1, beam_size=beam_size
    )
    engine = open_cuda_engine(options, TracingBuilder, device=DEVICE, dtype=dtype)
    if DEVICE == "cuda" and has_graphs:
        engine.warm_up()
    return engine
