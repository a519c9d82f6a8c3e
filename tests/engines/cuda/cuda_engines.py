"""Opens CUDA engines for tests: on a GPU if there is one, otherwise on the CPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from asr_api.engines.cuda.engine import CudaEngine
from asr_api.engines.cuda.open_engine import open_cuda_engine
from asr_api.engines.protocol import EngineOptions
from tests.engines.transcribing import TracingBuilder

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def open_cuda(
    folder: Path, *, dtype: torch.dtype = torch.float32, has_graphs: bool = True, **options: Any
) -> CudaEngine:
    """dtype: float32, whatever the device, where tokens are compared; has_graphs: on a GPU; options: `EngineOptions`"""
    defaults = EngineOptions(folder.name, folder, n_slots=4, max_new_tokens=448, num_threads=1)
    engine = open_cuda_engine(replace(defaults, **options), TracingBuilder, device=DEVICE, dtype=dtype)
    if DEVICE == "cuda" and has_graphs:
        engine.warm_up()
    return engine
