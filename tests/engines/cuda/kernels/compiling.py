"""Program: compiles every kernel for a GPU that need not be present, and prints its resources as JSON.

    python -m tests.engines.cuda.kernels.compiling 90

Launches have the shapes of whisper-large-v3 in float16 with 16 rows; nothing is run. The interpreter must be off.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from asr_api.engines.cuda.decode_state import open_decode_state
from asr_api.engines.cuda.filter_tables import FilterTables
from asr_api.engines.cuda.kernels.cross_attention import launch_cross_attention
from asr_api.engines.cuda.kernels.layer_norm import launch_add_layer_norm
from asr_api.engines.cuda.kernels.sample import launch_sample
from asr_api.engines.cuda.kernels.self_attention import launch_self_attention

N_ROWS, N_HEAD, D_HEAD, N_AUDIO_CTX, N_TEXT_CTX, N_VOCAB = 16, 20, 64, 1500, 448, 51_866
MATRIX_PRODUCTS = ("mma.sync", "wgmma")


def compile_all(capability: int) -> list[dict[str, object]]:
    """For each launch: shared memory of a program in bytes, and whether its products run on tensor cores."""
    report: list[dict[str, object]] = []

    def compile_instead(kernel: Any, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*arguments: object, **options: object) -> None:
            compiled = kernel.run(*arguments, grid=grid, warmup=True, **options)
            is_on_tensor_cores = any(product in compiled.asm["ptx"] for product in MATRIX_PRODUCTS)
            name, shared_bytes = kernel.fn.__name__, compiled.metadata.shared
            report.append({"name": name, "shared_bytes": shared_bytes, "is_on_tensor_cores": is_on_tensor_cores})

        return launch

    absent_gpu = SimpleNamespace(
        get_current_target=lambda: GPUTarget("cuda", capability, 32),
        get_current_device=lambda: 0,
        get_current_stream=lambda device: device,
    )
    driver.set_active(absent_gpu)
    JITFunction.__getitem__ = compile_instead
    launch_all()
    return report


def launch_all() -> None:
    """Launches every kernel in every way in which the engine does."""
    zeros = partial(torch.zeros, dtype=torch.float16)
    slot_of_row, is_active = torch.zeros(N_ROWS, dtype=torch.int32), torch.ones(N_ROWS, dtype=torch.bool)
    cross_cache = zeros(N_ROWS, N_HEAD, N_AUDIO_CTX, D_HEAD)
    for n_rows in (1, N_ROWS):
        query = zeros(n_rows, N_HEAD, D_HEAD)
        launch_cross_attention(query, cross_cache, cross_cache, slot_of_row[:n_rows], is_active[:n_rows])
    query, key, value = zeros(N_ROWS, 3, N_HEAD, D_HEAD).unbind(1)
    self_cache = zeros(N_ROWS, N_HEAD, N_TEXT_CTX, D_HEAD)
    launch_self_attention(query, key, value, (self_cache, self_cache), slot_of_row, is_active)
    x, weight = zeros(N_ROWS, 1, N_HEAD * D_HEAD), zeros(N_HEAD * D_HEAD)
    launch_add_layer_norm(x, x, weight, weight)
    suppressed = torch.zeros(N_VOCAB, dtype=torch.bool)
    tables = FilterTables(
        suppressed,
        suppressed,
        end=50_257,
        timestamp_begin=50_365,
        timestamp_end=N_VOCAB,
        max_first_timestamp=50_415,
    )
    launch_sample(zeros(N_ROWS, N_VOCAB), open_decode_state(N_ROWS, N_TEXT_CTX, torch.device("cpu")), tables)


if __name__ == "__main__":
    print(json.dumps(compile_all(int(sys.argv[1]))))
