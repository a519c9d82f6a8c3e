"""The torch device: its dtype, attention back ends and streams, and transfers between it and the host.

A CPU runs the same code as a GPU, in float32 and without streams.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

FLASH_CAPABILITY = (8, 0)
# Fastest first; the last two are for GPUs and shapes that the others do not support.
BACKENDS = (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)
NO_FLASH_ON_CPU = "FLASH_ATTENTION_2 has no effect on a CPU: it is a GPU kernel."


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    torch_device: torch.device
    dtype: torch.dtype
    name: str
    backends: tuple[SDPBackend, ...]  # of the encoder's attention, in order of preference
    notes: tuple[str, ...] = ()  # lines to print at start

    @property
    def is_cuda(self) -> bool:
        return str(self.torch_device.type) == "cuda"

    @contextmanager
    def encoder_attention(self) -> Iterator[None]:
        """Attention in this context runs on the chosen back ends."""
        with sdpa_kernel(list(self.backends), set_priority=True) if self.is_cuda else nullcontext():
            yield

    def new_stream(self, *, is_urgent: bool = False) -> torch.cuda.Stream | None:
        """None on a CPU. Kernels of an urgent stream are scheduled first: short decode steps before long products."""
        return torch.cuda.Stream(self.torch_device, priority=-1 if is_urgent else 0) if self.is_cuda else None

    def synchronize(self) -> None:
        """Waits for all enqueued work and returns unused cached memory to the device."""
        if self.is_cuda:
            torch.cuda.synchronize(self.torch_device)
            torch.cuda.empty_cache()

    def free_bytes(self) -> int | None:
        """None on a CPU, whose memory is not planned."""
        return torch.cuda.mem_get_info(self.torch_device)[0] if self.is_cuda else None

    def is_lost(self) -> bool:
        """True when every call fails until the process ends, e.g. after an illegal memory access."""
        if not self.is_cuda:
            return False
        try:
            torch.cuda.synchronize()
        except RuntimeError:
            return True
        return False


class EngineStream:
    """The stream on which an engine prefills and decodes.

    is_lost: True once the device answers every call with an error, until the process ends
    """

    def __init__(self, device: Device) -> None:
        self.is_lost = False
        self._device = device
        self._stream = device.new_stream(is_urgent=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Work in this context runs on the stream, without gradients. After a RuntimeError `is_lost` is up to date."""
        with torch.inference_mode(), torch.cuda.stream(self._stream) if self._stream else nullcontext():
            try:
                yield
            except RuntimeError:
                self.is_lost = self._device.is_lost()
                raise


class HostCopy:
    """An asynchronous copy of a tensor to the host, started on construction."""

    def __init__(self, values: Tensor) -> None:
        self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=values.is_cuda)
        self._values.copy_(values, non_blocking=True)
        self._event = torch.cuda.Event() if values.is_cuda else None
        if self._event is not None:
            self._event.record()

    def wait(self) -> NDArray[Any]:
        """The values, once the copy has finished."""
        if self._event is not None:
            self._event.synchronize()
        return np.asarray(self._values.numpy())


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """An asynchronous copy from the host: it does not wait for work that the device has queued."""
    if device.type == "cpu":
        return values
    return values.contiguous().pin_memory().to(device, non_blocking=True)


def index_tensor(numbers: Sequence[int], device: torch.device) -> Tensor:
    """(n,) int64"""
    return to_device(torch.tensor(numbers, dtype=torch.int64), device)


def is_available() -> bool:
    """True where there is a GPU that torch can use."""
    return bool(torch.cuda.is_available())


def choose_device(
    *, wants_flash: bool | None, d_head: int, device: str = "", dtype: torch.dtype | None = None, cpu_name: str
) -> Device:
    """The device, by default the first GPU in float16, else the CPU in float32.

    wants_flash: FlashAttention in the encoder; None uses it where available, True adds a note where it is not
    d_head:      of the encoder
    device:      such as "cuda:1"
    cpu_name:    name of a CPU, for people
    """
    chosen = torch.device(device or ("cuda:0" if torch.cuda.is_available() else "cpu"))
    if chosen.type == "cpu":
        notes: tuple[str, ...] = (NO_FLASH_ON_CPU,) if wants_flash else ()
        return Device(chosen, dtype or torch.float32, cpu_name, (SDPBackend.MATH,), notes)
    name = torch.cuda.get_device_name(chosen)
    # cuDNN plans attention for every new shape. The encoder has few, and `encoder_attention` enables cuDNN there.
    torch.backends.cuda.enable_cudnn_sdp(False)
    chosen_dtype = dtype or torch.float16
    if chosen_dtype == torch.float32:  # instead of TF32 (19 bits), the default of convolutions
        torch.backends.cudnn.allow_tf32 = False
    if wants_flash is False:
        return Device(chosen, chosen_dtype, name, BACKENDS)
    reason = _explain_missing_flash(chosen, chosen_dtype, d_head)
    if not reason:
        return Device(chosen, chosen_dtype, name, (SDPBackend.FLASH_ATTENTION,))
    notes = (f"FLASH_ATTENTION_2 has no effect on this GPU: {reason}.",) if wants_flash else ()
    return Device(chosen, chosen_dtype, name, BACKENDS, notes)


def _explain_missing_flash(device: torch.device, dtype: torch.dtype, d_head: int) -> str:
    """The reason that FlashAttention cannot be used; empty if it can."""
    capability = torch.cuda.get_device_capability(device)
    if capability < FLASH_CAPABILITY:
        return f"it needs compute capability 8.0, and this GPU has {capability[0]}.{capability[1]}"
    try:
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION]):
            probe = torch.zeros(1, 1, 16, d_head, device=device, dtype=dtype)
            scaled_dot_product_attention(probe, probe, probe)
    except RuntimeError:
        return f"this build of torch has no kernel for {str(dtype).removeprefix('torch.')} and heads of {d_head}"
    return ""
