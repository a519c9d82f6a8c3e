"""`SpeechActivity`: how likely a stretch of audio holds speech, by the probabilities of a detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr_api.audio.levels import frame_levels_db, speech_level_db
from asr_api.pcm import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Pcm

Floats = NDArray[np.float32]

CHUNK_SAMPLES = 512
CHUNK_MS = CHUNK_SAMPLES // SAMPLES_PER_MS
SPEECH_PROBABILITY = 0.5  # of a chunk that counts as speech
SOUND_PROBABILITY = 0.3  # of a chunk beside speech that belongs to it
WORD_CHUNKS = 9  # 0.3 s: a short word
# Detectors are deaf to quiet speech: of a sentence at -50 dB Silero's strongest 0.3 s rose from 0.08 to 0.98 with this
# level, and of noise no higher than 0.4, of laughter 0.6.
STANDARD_LEVEL_DB = -26.0
MAX_GAIN = 300.0


class SpeechDetector(Protocol):
    """On a stream of PCM; it remembers what came before."""

    def probabilities(self, pcm: Pcm) -> Floats:
        """pcm: (n_chunks * CHUNK_SAMPLES,). Returns (n_chunks,) in [0, 1]."""


OpenDetector = Callable[[], SpeechDetector]


@dataclass(frozen=True, slots=True, eq=False)
class SpeechActivity:
    """Times are relative to its beginning; those outside of it count as its bounds.

    pcm:           (n_samples,) int16
    probabilities: (n_chunks,), one for each CHUNK_MS of it
    open_detector: for a second look at quiet stretches
    """

    pcm: Pcm
    probabilities: Floats
    open_detector: OpenDetector

    def strongest(self, start_ms: int, end_ms: int) -> float:
        """The highest mean probability of 0.3 s between two times, with the stretch as it is or at a standard level."""
        strongest = _strongest(self._between(start_ms, end_ms))
        if strongest >= SPEECH_PROBABILITY:
            return strongest
        pcm = _at_standard_level(self.pcm[max(0, start_ms) * SAMPLES_PER_MS : max(0, end_ms) * SAMPLES_PER_MS])
        return strongest if pcm is None else max(strongest, _strongest(speech_probabilities(self.open_detector(), pcm)))

    def speech_ms(self, start_ms: int, end_ms: int) -> int:
        """How much speech there is between two times."""
        return int((self._between(start_ms, end_ms) >= SPEECH_PROBABILITY).sum()) * CHUNK_MS

    def speech_bounds_ms(self, start_ms: int, end_ms: int) -> tuple[int, int] | None:
        """Where the speech between two times begins and ends; None where there is none.

        Speech is 0.3 s with a mean probability of a half, and what is like speech beside it: music and noise have
        single chunks that are like speech, and whole words of them are rare.
        """
        chunks = self._between(start_ms, end_ms)
        n_chunks = min(WORD_CHUNKS, len(chunks))
        if not n_chunks:
            return None
        words = np.flatnonzero(np.convolve(chunks, np.full(n_chunks, 1 / n_chunks), mode="valid") >= SPEECH_PROBABILITY)
        if not len(words):
            return None
        is_unlike = chunks < SOUND_PROBABILITY
        first, last = int(words[0]), int(words[-1]) + n_chunks - 1
        first += int(is_unlike[first : last + 1].argmin())
        last -= int(is_unlike[first : last + 1][::-1].argmin())
        before, behind = np.flatnonzero(is_unlike[:first]), np.flatnonzero(is_unlike[last + 1 :])
        first = int(before[-1]) + 1 if len(before) else 0
        last = last + int(behind[0]) if len(behind) else len(chunks) - 1
        origin = max(0, start_ms) // CHUNK_MS
        return max(start_ms, (origin + first) * CHUNK_MS), min(end_ms, (origin + last + 1) * CHUNK_MS)

    def _between(self, start_ms: int, end_ms: int) -> Floats:
        return self.probabilities[max(0, start_ms) // CHUNK_MS : -(-max(0, end_ms) // CHUNK_MS)]


def speech_probabilities(detector: SpeechDetector, pcm: Pcm) -> Floats:
    """Of PCM of any length, whose last chunk is filled up with silence."""
    if not len(pcm):
        return np.zeros(0, np.float32)
    return detector.probabilities(np.pad(pcm, (0, -len(pcm) % CHUNK_SAMPLES)))


def _strongest(chunks: Floats) -> float:
    if not len(chunks):
        return 0.0
    n_chunks = min(WORD_CHUNKS, len(chunks))
    return float(np.convolve(chunks, np.full(n_chunks, 1 / n_chunks, np.float32), mode="valid").max())


def _at_standard_level(pcm: Pcm) -> Pcm | None:
    """None where it is loud enough already, or too short to tell."""
    if len(pcm) < SAMPLE_RATE_HZ // 10:
        return None
    gain = 10 ** ((STANDARD_LEVEL_DB - speech_level_db(frame_levels_db(pcm))) / 20)
    if gain <= 1:
        return None
    amplified = pcm.astype(np.float32) * np.float32(min(gain, MAX_GAIN))
    result: Pcm = np.clip(amplified, -32768, 32767).astype(np.int16)
    return result
