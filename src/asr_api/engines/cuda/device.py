"""The machine that computes: which one, in which dtype, by which attention, and what is on its way between it and us.

A processor does all that a graphics card does, in float32, one thing after the other. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

FLASH_CAPABILITY = (8, 0)
# Fastest first; the last two are for cards and shapes that the others don't take.
BACKENDS = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
NO_FLASH_ON_CPU = "FLASH_ATTENTION_2 has no effect on a CPU: it is a GPU kernel."


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """backends: attention of the encoder, in the order of preference; notes: lines worth printing at start"""

    device: torch.device
    dtype: torch.dtype
    name: str
    backends: tuple[SDPBackend, ...]
    notes: tuple[str, ...]

    @property
    def is_cuda(self) -> bool:
        return str(self.device.type) == "cuda"

    @contextmanager
    def attending(self) -> Iterator[None]:
        """Encoder attention inside runs on the chosen back end."""
        with sdpa_kernel(list(self.backends), set_priority=True) if self.is_cuda else nullcontext():
            yield

    def new_stream(self, *, is_urgent: bool = False) -> torch.cuda.Stream | None:
        """What is urgent goes first where both could run: short steps do not wait behind long products."""
        return torch.cuda.Stream(self.device, priority=-1 if is_urgent else 0) if self.is_cuda else None

    def settle(self) -> None:
        """Waits until all that was asked for is done, and gives back what nobody uses."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)
            torch.cuda.empty_cache()

    def free_bytes(self) -> int | None:
        """None on a processor, where memory is not ours to plan."""
        return torch.cuda.mem_get_info(self.device)[0] if self.is_cuda else None


class HostCopy:
    """A tensor on its way to the host, asked for without waiting."""

    def __init__(self, values: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        if not values.is_cuda:
            self._values = values
            return
        self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        self._values.copy_(values, non_blocking=True)
        self._event = torch.cuda.Event()
        self._event.record()

    def wait(self) -> NDArray[np.float32]:
        """Waits for it."""
        if self._event is not None:
            self._event.synchronize()
        return np.asarray(self._values.numpy())


def is_available() -> bool:
    """True where there is a graphics card that torch can use."""
    return bool(torch.cuda.is_available())


def choose_device(
    *, wants_flash: bool | None, d_head: int, device: str = "", dtype: torch.dtype | None = None, cpu_name: str
) -> Device:
    """device, dtype: such as "cuda:1"; by default the first card and float16, else the processor and float32

    wants_flash: FlashAttention; None takes it where it is there, True leaves a note where it is not
    d_head: of the attention that is asked to be FlashAttention
    """
    chosen = torch.device(device or ("cuda:0" if torch.cuda.is_available() else "cpu"))
    if chosen.type == "cpu":
        notes = (NO_FLASH_ON_CPU,) if wants_flash else ()
        return Device(chosen, dtype or torch.float32, cpu_name, (SDPBackend.MATH,), notes)
    name = torch.cuda.get_device_name(chosen)
    # cuDNN plans attention anew for every shape. Those of the encoder are few, and `attending` allows it there.
    torch.backends.cuda.enable_cudnn_sdp(False)
    chosen_dtype = dtype or torch.float16
    if chosen_dtype == torch.float32:  # and not the nineteen bits of it that convolutions take by default
        torch.backends.cudnn.allow_tf32 = False
    if wants_flash is False:
        return Device(chosen, chosen_dtype, name, tuple(BACKENDS), ())
    reason = _why_no_flash(chosen, chosen_dtype, d_head)
    if not reason:
        return Device(chosen, chosen_dtype, name, (SDPBackend.FLASH_ATTENTION,), ())
    notes = (f"FLASH_ATTENTION_2 has no effect on this GPU: {reason}.",) if wants_flash else ()
    return Device(chosen, chosen_dtype, name, tuple(BACKENDS), notes)


def _why_no_flash(device: torch.device, dtype: torch.dtype, d_head: int) -> str:
    """Empty where FlashAttention runs."""
    capability = torch.cuda.get_device_capability(device)
    if capability < FLASH_CAPABILITY:
        return f"it needs compute capability 8.0, and this is {capability[0]}.{capability[1]}"
    try:
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION]):
            probe = torch.zeros(1, 1, 16, d_head, device=device, dtype=dtype)
            scaled_dot_product_attention(probe, probe, probe)
    except RuntimeError:
        return f"this build of torch has none for {str(dtype).removeprefix('torch.')} and heads of {d_head}"
    return ""
