"""Encodes windows on their own CUDA stream: PCM, log-mel, encoder, cross-attention keys and values of their slots.

Encoding runs beside decoding. A call returns immediately, and `is_done` reports completion. The only copy of the PCM is
into pinned memory, from which it is transferred. When the device runs out of memory, batches become smaller.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext

import torch

from asr_api.engines.cuda.device import Device, index_tensor
from asr_api.engines.cuda.kv_cache import KVCache
from asr_api.engines.cuda.logmel import LogMel
from asr_api.engines.cuda.model import AudioEncoder, CrossProjection
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.logmel import HOP_SAMPLES
from asr_api.pcm import Pcm

logger = logging.getLogger(__name__)


class WindowEncoder:
    """Encodes one batch of at most `max_batch` windows at a time."""

    def __init__(
        self,
        config: WhisperConfig,
        device: Device,
        cache: KVCache,
        encoder: AudioEncoder,
        project: CrossProjection,
        max_batch: int,
    ) -> None:
        self.max_batch = max_batch
        self._device = device
        self._cache = cache
        self._log_mel = LogMel(config.n_mels, device.torch_device)
        self._encoder = encoder
        self._project = project
        self._stream = device.new_stream()
        self._done: torch.cuda.Event | None = None
        n_samples = config.n_frames * HOP_SAMPLES
        self._staging = torch.zeros(max_batch, n_samples, dtype=torch.int16, pin_memory=device.is_cuda)

    @property
    def is_done(self) -> bool:
        """True when the last batch has been encoded."""
        return self._done is None or self._done.query()

    def encode(self, windows: Sequence[Pcm], slots: Sequence[int]) -> int:
        """Starts encoding the first windows, as many as fit into a batch; returns their number. Call only if `is_done`.

        slots: of the KV cache, one for each window
        Raises torch.OutOfMemoryError when not even one window fits.
        """
        while True:
            num = min(len(windows), self.max_batch)
            try:
                self._encode_batch(windows[:num], slots[:num])
            except torch.OutOfMemoryError:
                if num == 1:
                    raise
                torch.cuda.empty_cache()
                self.max_batch = num // 2
                logger.warning("The GPU is out of memory; from now on it encodes at most %d windows at once.", num // 2)
            else:
                return num

    def make_current_stream_wait(self) -> None:
        """Work enqueued on the current stream from now on runs after the last batch."""
        if self._done is not None:
            torch.cuda.current_stream().wait_event(self._done)

    def _encode_batch(self, windows: Sequence[Pcm], slots: Sequence[int]) -> None:
        batch = self._staging[: len(windows)]
        for samples, window in zip(batch.numpy(), windows, strict=True):
            samples[: len(window)] = window
            samples[len(window) :] = 0
        torch_device = self._device.torch_device
        with torch.cuda.stream(self._stream) if self._stream is not None else nullcontext():
            log_mel = self._log_mel(batch.to(torch_device, non_blocking=True)).to(self._device.dtype)
            with self._device.encoder_attention():
                features = self._encoder(log_mel)  # (batch, n_audio_ctx, n_state)
            self._project(features, self._cache, index_tensor(slots, torch_device))
            if self._stream is not None:
                self._done = torch.cuda.Event()
                self._done.record()
