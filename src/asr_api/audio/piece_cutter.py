"""Piece cutter: PCM blocks of any size to pieces of a recording, cut at the quietest half second of a wide range.

Quiet means first that nobody speaks, by the probabilities of a speech detector, then a low level. Every sample from
the first sound on is in exactly one piece. Holds the longest piece and half a minute of PCM.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_api.audio.levels import SILENT_PEAK_TO_PEAK, frame_levels_db
from asr_api.audio.vad.speech_activity import (
    CHUNK_SAMPLES,
    Floats,
    OpenDetector,
    SpeechActivity,
    speech_probabilities,
)
from asr_api.pcm import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Pcm

BLOCK_SAMPLES = 256 * CHUNK_SAMPLES  # looked at once; a fixed size, so that the sizes of blocks change nothing
POSITION_SAMPLES = 20 * SAMPLES_PER_MS  # the resolution of timestamps: times of a first piece keep it
CALM_CHUNKS = 16  # half a second
CUT_WEIGHTS = np.array((1, 3, 3, 1)) / 8  # of the chunks around a cut: it must lie in the pause, not beside it
# Points that differ by less are equally good, and the latest of them makes the fullest piece. 3 dB would make pieces
# fuller by 4%, and base lost 28 words more in 4 minutes of French.
SIMILAR_PROBABILITY = 0.05  # mean probability of speech
SIMILAR_DB = 0.1
NO_PCM: Pcm = np.empty(0, np.int16)


@dataclass(frozen=True, slots=True)
class PieceLength:
    """min_s: of all but the last two pieces of a recording; max_s: of all"""

    min_s: float
    max_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A stretch of a recording that is transcribed by itself: pcm[0] is the sample at `start_ms`.

    index: among the pieces of the recording, from 0
    """

    index: int
    start_ms: int
    activity: SpeechActivity

    @property
    def pcm(self) -> Pcm:
        return self.activity.pcm

    @property
    def length_ms(self) -> int:
        """Rounded up: only the last piece can be uneven."""
        return -(-len(self.pcm) // SAMPLES_PER_MS)

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.length_ms


class PieceCutter:
    """Pieces in order. Silence before the first sound is left out, so that it changes nothing but the times.

    A piece is cut some seconds of audio after it is full, so that the last two pieces can share a short remainder.
    """

    def __init__(self, length: PieceLength, open_detector: OpenDetector) -> None:
        if not 0 < length.min_s < length.max_s:
            raise ValueError(f"Pieces of {length.min_s} to {length.max_s} s are not possible.")
        self._max = max(2, int(length.max_s * SAMPLE_RATE_HZ) // CHUNK_SAMPLES)
        self._min = min(max(1, int(length.min_s * SAMPLE_RATE_HZ) // CHUNK_SAMPLES), self._max - 1)
        self._open_detector = open_detector
        self._detector = open_detector()
        self._unread: Pcm = NO_PCM  # not looked at yet
        self._pcm: Pcm = NO_PCM
        self._probabilities = np.zeros(0, np.float32)
        self._head: Pcm = NO_PCM  # silence at the beginning, less than a position
        self._has_sound = False
        self._start_ms = 0
        self._index = 0

    def push(self, block: Pcm) -> list[Piece]:
        self._unread = np.concatenate((self._unread, self._from_first_sound(block)))
        pieces = []
        while len(self._unread) >= BLOCK_SAMPLES:
            self._read(BLOCK_SAMPLES)
            pieces += self._full_pieces()
        return pieces

    def is_due(self, num_samples: int) -> bool:
        """Whether pushing so many samples is more work than buffering them."""
        return len(self._unread) + num_samples >= BLOCK_SAMPLES

    def finish(self) -> list[Piece]:
        """The remaining audio, in pieces of similar lengths; one without audio after a recording of silence."""
        self._read(len(self._unread))
        if not self._has_sound:
            self._start_ms += -(-len(self._head) // SAMPLES_PER_MS)
        pieces = self._full_pieces()
        if (n_chunks := len(self._probabilities)) > self._max:
            earliest, latest = max(n_chunks // 3, n_chunks - self._max), min(self._max, 2 * n_chunks // 3)
            pieces.append(self._pop(quietest_chunk(self._pcm, self._probabilities, earliest, latest)))
        if len(self._pcm) or not self._has_sound:
            pieces.append(self._pop(len(self._probabilities)))
        return pieces

    def _full_pieces(self) -> list[Piece]:
        pieces = []
        while len(self._probabilities) >= 2 * self._max - self._min:
            pieces.append(self._pop(quietest_chunk(self._pcm, self._probabilities, self._min, self._max)))
        return pieces

    def _from_first_sound(self, block: Pcm) -> Pcm:
        """The block without whole positions of silence at the beginning of the recording."""
        if self._has_sound:
            return block
        block = np.concatenate((self._head, block))
        is_sound = np.abs(block.astype(np.int32)) > SILENT_PEAK_TO_PEAK // 2
        self._has_sound = bool(is_sound.any())
        num_silent = int(is_sound.argmax()) if self._has_sound else len(block)
        num_silent -= num_silent % POSITION_SAMPLES
        self._start_ms += num_silent // SAMPLES_PER_MS
        self._head = block[num_silent:]
        return self._head if self._has_sound else NO_PCM

    def _read(self, num_samples: int) -> None:
        pcm, self._unread = self._unread[:num_samples], self._unread[num_samples:]
        self._pcm = np.concatenate((self._pcm, pcm))
        self._probabilities = np.concatenate((self._probabilities, speech_probabilities(self._detector, pcm)))

    def _pop(self, n_chunks: int) -> Piece:
        num_samples = n_chunks * CHUNK_SAMPLES
        pcm = self._pcm[:num_samples].copy()  # else the piece would keep all of the buffer
        piece = Piece(
            self._index, self._start_ms, SpeechActivity(pcm, self._probabilities[:n_chunks], self._open_detector)
        )
        self._pcm, self._probabilities = self._pcm[num_samples:], self._probabilities[n_chunks:]
        self._start_ms = piece.end_ms
        self._index += 1
        return piece


def quietest_chunk(pcm: Pcm, probabilities: Floats, earliest: int, latest: int) -> int:
    """The chunk in [earliest, latest] at whose beginning speech is cut best.

    pcm, probabilities: of a stretch that should extend beyond `latest`, so that all of the half second can be seen
    """
    voiced = _mean_around(probabilities, CALM_CHUNKS)[earliest : latest + 1]
    levels_db = frame_levels_db(pcm[: (latest + CALM_CHUNKS) * CHUNK_SAMPLES], CHUNK_SAMPLES)
    calm_db = _mean_around(levels_db, CALM_CHUNKS)[earliest : latest + 1]
    is_calmest = voiced <= max(SIMILAR_PROBABILITY, float(voiced.min())) + SIMILAR_PROBABILITY
    allowed_db = np.where(is_calmest[: len(calm_db)], calm_db, np.inf)
    calmest = earliest + int(np.flatnonzero(allowed_db <= allowed_db.min() + SIMILAR_DB)[-1])
    first = max(earliest, calmest - CALM_CHUNKS // 2)
    pause_db = _weighted_around(levels_db, CUT_WEIGHTS)[first : min(latest, calmest + CALM_CHUNKS // 2) + 1]
    return first + int(pause_db.argmin())


def _mean_around(values: NDArray[np.floating], n_chunks: int) -> NDArray[np.floating]:
    """The mean of the `n_chunks` (even) around the beginning of each chunk."""
    return _weighted_around(values, np.full(n_chunks, 1 / n_chunks))


def _weighted_around(values: NDArray[np.floating], weights: NDArray[np.floating]) -> NDArray[np.floating]:
    """The sum of the chunks around the beginning of each chunk. weights: symmetric, an even number"""
    half = len(weights) // 2
    return np.convolve(np.pad(values, (half, half - 1), mode="edge"), weights, mode="valid")
