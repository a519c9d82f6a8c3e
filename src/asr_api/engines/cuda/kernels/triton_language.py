"""Triton, where it is installed: its language, and the decorator that makes a kernel of a function.

Where it is not, kernels stay plain functions that nobody calls; the same where it can launch none, which is tried once.
Knows nothing about any kernel that computes.
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
except ImportError:  # a processor's torch comes without it
    triton = None

tl: Any = None if triton is None else triton.language

logger = logging.getLogger(__name__)

LOG2_E = 1.4426950408889634  # exp(x) = exp2(x · LOG2_E), and exp2 is what the card has


class Kernel(Protocol):
    """kernel[grid](*arguments, num_warps=…) launches it; kernel(*arguments) is a call by another kernel."""

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., object]: ...

    def __call__(self, *arguments: object) -> Any: ...


def jit(function: Callable[..., object]) -> Kernel:
    kernel: Any = function if triton is None else triton.jit(function)
    return cast(Kernel, kernel)


@jit
def _write_one(out: tl.tensor) -> None:
    tl.store(out, 1)


@cache
def launch_error() -> str:
    """Why no kernel can be launched on the graphics card, which there must be; empty where one was."""
    if triton is None:
        return "Triton is not installed"
    try:
        out = torch.zeros(1, dtype=torch.int32, device="cuda")
        _write_one[(1,)](out)
        return "" if out.item() == 1 else "Triton's kernels do not do what they should"
    except Exception as error:  # whatever a compiler, a linker or a loader has to say
        logger.warning("Triton can't launch kernels on this GPU; they are done without.", exc_info=True)
        needs = "a C compiler, Python's headers (in Debian gcc and python3-dev) and a folder to write to"
        return f"Triton can't launch kernels on it ({type(error).__name__}); it needs {needs}"


def runs_kernels(tensor: Tensor) -> bool:
    """Whether kernels can be launched on the tensor's device."""
    return tensor.is_cuda and not launch_error()


def fits_blocks(d_head: int) -> bool:
    """Every Whisper has heads of 64; others than powers of two have no kernel, only a twin."""
    return d_head >= 16 and next_power_of_2(d_head) == d_head


def next_power_of_2(n: int) -> int:
    """The least that is not below n; Triton's blocks have such sizes."""
    return 1 << (n - 1).bit_length()
