"""What the decoder process is told: plain data that travels as JSON, beside the descriptor of the media."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """Bounds of one decoding."""

    max_audio_s: float
    min_audio_s: float
    min_rate_hz: int
    max_rate_hz: int
    max_channels: int
    max_memory_bytes: int
    max_cpu_s: int
