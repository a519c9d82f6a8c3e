"""The CUDA stream on which an engine prefills and decodes, and whether its device is still usable."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from asr_api.engines.cuda.device import Device


class EngineStream:
    """is_lost: True once the device answers every call with an error, which only the end of the process mends"""

    def __init__(self, device: Device) -> None:
        self.is_lost = False
        self._device = device
        self._stream = device.new_stream(is_urgent=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Work in this context runs on the stream, without gradients. After a RuntimeError `is_lost` is up to date."""
        with torch.inference_mode(), torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext():
            try:
                yield
            except RuntimeError:
                self.is_lost = self._device.is_lost()
                raise
