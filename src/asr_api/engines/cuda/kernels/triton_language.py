"""Optional access to Triton: its language, a `jit` decorator, and a probe whether kernels can be launched.

Without Triton, kernels stay plain functions that are never called. The same holds where it cannot launch kernels, which
is tried once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor

try:
    import triton
    import triton.language
except ImportError:  # torch for CPUs comes without it
    triton = None

tl: Any = None if triton is None else triton.language

logger = logging.getLogger(__name__)

LOG2_E = 1.4426950408889634  # exp(x) = exp2(x · LOG2_E), and the GPU has exp2


class Kernel(Protocol):
    """kernel[grid](*arguments, num_warps=…) launches it; kernel(*arguments) is a call by another kernel."""

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., object]: ...

    def __call__(self, *arguments: object) -> Any: ...


def jit(function: Callable[..., object]) -> Kernel:
    kernel: Any = function if triton is None else triton.jit(function)
    return cast(Kernel, kernel)


@jit
def _store_1(out: tl.tensor) -> None:
    tl.store(out, 1)


@cache
def launch_error() -> str:
    """The reason that no kernel can be launched on the GPU; empty if one was launched. Call only with a GPU."""
    if triton is None:
        return "Triton is not installed"
    try:
        out = torch.zeros(1, dtype=torch.int32, device="cuda")
        _store_1[(1,)](out)
        return "" if out.item() == 1 else "Triton's kernels compute wrong results"
    except Exception as error:  # a compiler, linker or loader may raise anything
        logger.warning("Triton can't launch kernels on this GPU; PyTorch ops are used instead.", exc_info=True)
        needs = "a C compiler, Python's headers (in Debian gcc and python3-dev) and a writable folder"
        return f"Triton can't launch kernels on it ({type(error).__name__}); it needs {needs}"


def runs_kernels(tensor: Tensor) -> bool:
    """Whether kernels can be launched on the tensor's device."""
    return tensor.is_cuda and not launch_error()


def fits_blocks(d_head: int) -> bool:
    """Whether there are kernels for heads of this size. Every Whisper has 64; only powers of two have kernels."""
    return d_head >= 16 and next_power_of_2(d_head) == d_head


def next_power_of_2(n: int) -> int:
    """The smallest power of two >= n; Triton's blocks have such sizes."""
    return 1 << (n - 1).bit_length()
