"""Opens CUDA engines for tests: on a graphics card if there is one, otherwise on the processor."""

from __future__ import annotations

from pathlib import Path

import torch

from asr_api.engines.cuda.engine import CudaEngine
from asr_api.engines.cuda.open_engine import open_cuda_engine
from asr_api.engines.protocol import EngineOptions
from tests.engines.transcribing import TracingBuilder

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def open_cuda(
    folder: Path, *, n_slots: int = 4, max_new_tokens: int = 448, beam_size: int = 1, has_graphs: bool = True
) -> CudaEngine:
    """In float32, whatever the device, because tokens are compared. has_graphs: on a graphics card"""
    options = EngineOptions(
        model_id=folder.name,
        checkpoint=folder,
        n_slots=n_slots,
        max_new_tokens=max_new_tokens,
        flash_attention_2=False,
        num_threads=1,
        beam_size=beam_size,
    )
    engine = open_cuda_engine(options, TracingBuilder, device=DEVICE, dtype=torch.float32)
    if DEVICE == "cuda" and has_graphs:
        engine.warm_up()
    return engine
