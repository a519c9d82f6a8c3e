"""benchmarks/chaos/recordings.py: a unique copy has other bytes and the same audio."""

from __future__ import annotations

import io
import wave

import numpy as np

from asr_api.benchmark.speech import wav_bytes
from benchmarks.chaos.recordings import Recording


def test_a_unique_wav_has_the_same_audio() -> None:
    recording = Recording("a.wav", wav_bytes(np.arange(16_000, dtype=np.int16)))
    first, second = recording.unique(1), recording.unique(2)
    assert first != second
    for content in (first, second):
        with wave.open(io.BytesIO(content)) as file:
            assert file.readframes(20_000) == np.arange(16_000, dtype=np.int16).tobytes()


def test_a_unique_mp3_has_a_tag_behind_its_frames() -> None:
    unique = Recording("a.mp3", b"frames").unique(7)
    assert len(unique) == len(b"frames") + 128
    assert unique.startswith(b"framesTAG7\0")
