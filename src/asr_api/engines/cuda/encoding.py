"""PCM of some windows → what the decoder attends to, in their slots, beside whatever else the device does.

In go samples, moved once and as they are; nothing comes out but the news that it is done. Where memory is short fewer
windows are heard at once. Knows nothing about tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from asr_api.engines.cuda.decode_state import moved
from asr_api.engines.cuda.device import Device
from asr_api.engines.cuda.kv_cache import Caches
from asr_api.engines.cuda.logmel import LogMel
from asr_api.engines.cuda.model import CrossProjection, Encoder
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.logmel import HOP_SAMPLES
from asr_api.pcm import Pcm

logger = logging.getLogger(__name__)


class WindowEncoder:
    """Hears one batch of windows at a time, on a stream of its own."""

    def __init__(
        self,
        config: WhisperConfig,
        machine: Device,
        caches: Caches,
        encoder: Encoder,
        project: CrossProjection,
        max_batch: int,
    ) -> None:
        self.max_batch = max_batch
        self._machine = machine
        self._caches = caches
        self._log_mel = LogMel(config.n_mels, machine.device)
        self._encoder = encoder
        self._project = project
        self._stream = machine.new_stream()
        self._done: torch.cuda.Event | None = None
        n_samples = config.n_frames * HOP_SAMPLES
        self._staging = torch.zeros(max_batch, n_samples, dtype=torch.int16, pin_memory=machine.is_cuda)

    @property
    def is_done(self) -> bool:
        """True when all windows given so far have been heard."""
        return self._done is None or self._done.query()

    def hear(self, windows: Sequence[Pcm], slots: Sequence[int]) -> int:
        """Begins with the first of the windows, and says with how many. Only when `is_done`.

        Raises torch.OutOfMemoryError when not even one fits.
        """
        while True:
            num = min(len(windows), self.max_batch)
            try:
                self._hear(windows[:num], slots[:num])
            except torch.OutOfMemoryError:
                if num == 1:
                    raise
                torch.cuda.empty_cache()
                self.max_batch = num // 2
                logger.warning("The GPU's memory is short: %d windows are encoded at once from now on.", self.max_batch)
            else:
                return num

    def let_wait(self) -> None:
        """What is enqueued from now on waits for what was heard."""
        if self._done is not None:
            torch.cuda.current_stream().wait_event(self._done)

    def _hear(self, windows: Sequence[Pcm], slots: Sequence[int]) -> None:
        pcm = self._staging[: len(windows)]
        for target, window in zip(pcm, windows, strict=True):
            target[: len(window)] = torch.from_numpy(window)
            target[len(window) :] = 0
        with torch.cuda.stream(self._stream) if self._stream is not None else nullcontext():
            self._project(
                self._features(pcm.to(self._machine.device, non_blocking=True)), self._caches, self._at(slots)
            )
            if self._stream is not None:
                self._done = torch.cuda.Event()
                self._done.record()

    def _features(self, pcm: Tensor) -> Tensor:
        with self._machine.attending():
            return self._encoder(self._log_mel(pcm).to(self._machine.dtype))

    def _at(self, slots: Sequence[int]) -> Tensor:
        return moved(torch.tensor(slots, dtype=torch.int64), self._machine.device)
