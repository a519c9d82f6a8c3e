"""Triton, where it is installed: its language, and the decorator that makes a kernel of a function.

Where it is not, kernels stay plain functions that nobody calls. Knows nothing about any kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from torch import Tensor

try:
    import triton
    import triton.language
except ImportError:  # a processor's torch comes without it
    triton = None

tl: Any = None if triton is None else triton.language

LOG2_E = 1.4426950408889634  # exp(x) = exp2(x · LOG2_E), and exp2 is what the card has


class Kernel(Protocol):
    """kernel[grid](*arguments, num_warps=…) launches it; kernel(*arguments) is a call by another kernel."""

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., object]: ...

    def __call__(self, *arguments: object) -> Any: ...


def jit(function: Callable[..., object]) -> Kernel:
    kernel: Any = function if triton is None else triton.jit(function)
    return cast(Kernel, kernel)


def runs_kernels(tensor: Tensor) -> bool:
    """Whether kernels can be launched on the tensor's device."""
    return triton is not None and tensor.is_cuda


def fits_blocks(d_head: int) -> bool:
    """Every Whisper has heads of 64; others than powers of two have no kernel, only a twin."""
    return d_head >= 16 and next_power_of_2(d_head) == d_head


def next_power_of_2(n: int) -> int:
    """The least that is not below n; Triton's blocks have such sizes."""
    return 1 << (n - 1).bit_length()
