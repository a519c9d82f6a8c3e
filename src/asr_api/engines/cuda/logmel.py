"""Log-mel spectrograms of a batch of windows on the device; equals `engines/whisper/logmel` to 1e-4."""

from __future__ import annotations

import torch
from torch import Tensor

from asr_api.engines.whisper.logmel import (
    DYNAMIC_RANGE,
    FLOOR,
    FRAME_SAMPLES,
    HOP_SAMPLES,
    INT16_RANGE,
    hann,
    mel_filters,
)


class LogMel:
    """pcm (batch, n_samples) int16, padded with zeros to the whole window → (batch, n_mels, n_frames) float32"""

    def __init__(self, n_mels: int, device: torch.device) -> None:
        self._window = torch.from_numpy(hann()).to(device, torch.float32)
        self._filters = torch.from_numpy(mel_filters(n_mels)).to(device, torch.float32)  # (n_mels, n_bins)

    def __call__(self, pcm: Tensor) -> Tensor:
        signal = pcm.to(torch.float32) / INT16_RANGE
        spectrum = torch.stft(
            signal, FRAME_SAMPLES, HOP_SAMPLES, window=self._window, pad_mode="reflect", return_complex=True
        )[..., :-1]  # (batch, n_bins, n_frames): without the frame that begins at the window's end
        energy = self._filters @ (spectrum.real.square() + spectrum.imag.square())  # (batch, n_mels, n_frames)
        mel = energy.clamp_min(FLOOR).log10()
        mel = torch.maximum(mel, mel.amax(dim=(1, 2), keepdim=True) - DYNAMIC_RANGE)
        return (mel + 4.0) / 4.0
