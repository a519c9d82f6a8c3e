"""Encodes the PCM of one window into its row of the cross-attention KV cache."""

from __future__ import annotations

from asr_api.engines.onnx.encoder_graph import Encoder
from asr_api.engines.onnx.kv_cache import CrossKvCache
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.logmel import log_mel
from asr_api.pcm import Pcm


class WindowEncoder:
    """Log-mel and encoder, one window at a time.

    On two cores a batch of four windows took four times as long as one (whisper-tiny's shape).
    """

    def __init__(self, config: WhisperConfig, encoder: Encoder, cross: CrossKvCache) -> None:
        self._config = config
        self._encoder = encoder
        self._cross = cross

    def encode(self, pcm: Pcm, row: int) -> None:
        mel = log_mel(pcm, self._config.n_mels, self._config.n_frames)
        self._encoder.encode(mel, self._cross.views(slice(row, row + 1)))
