"""Muted source: a `PcmSource` with silence in place of everything but speech.

Nothing is cut out or moved, so that no time needs mapping back and no word is spliced. Holds two seconds of PCM.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
from anyio import CapacityLimiter, to_thread

from asr_api.audio.vad.speech_activity import (
    CHUNK_SAMPLES,
    SPEECH_PROBABILITY,
    OpenDetector,
    SpeechDetector,
    speech_probabilities,
)
from asr_api.pcm import SAMPLE_RATE_HZ, AudioEnd, Pcm, PcmSource

STILL_SPEECH_PROBABILITY = 0.35  # speech that began at SPEECH_PROBABILITY continues down to this one
CHUNKS_PER_S = SAMPLE_RATE_HZ / CHUNK_SAMPLES
# Kept around speech, for soft first and last sounds. In a margin of a second, models transcribed words in music.
MARGIN_CHUNKS = round(0.4 * CHUNKS_PER_S)
MIN_PAUSE_CHUNKS = round(2.0 * CHUNKS_PER_S)  # shorter pauses stay as they are
MIN_SPEECH_CHUNKS = round(0.2 * CHUNKS_PER_S)  # a shorter sound is the beginning of a chord, or a click

NO_PCM: Pcm = np.empty(0, np.int16)


class MutedSource:
    """The speech of another `PcmSource`, up to two seconds later. Enters and leaves the other source."""

    def __init__(self, source: PcmSource, open_detector: OpenDetector, limiter: CapacityLimiter) -> None:
        """limiter: of threads, in which audio is analysed"""
        self._source = source
        self._open_detector = open_detector
        self._limiter = limiter
        self._blocks: AsyncIterator[Pcm] | None = None
        self._muter: NonSpeechMuter | None = None

    @property
    def duration_hint_ms(self) -> int | None:
        return self._source.duration_hint_ms

    @property
    def end(self) -> AudioEnd:
        return self._source.end

    async def __aenter__(self) -> MutedSource:
        self._muter = NonSpeechMuter(await to_thread.run_sync(self._open_detector, limiter=self._limiter))
        self._blocks = aiter(await self._source.__aenter__())
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._muter = None
        await self._source.__aexit__(*error)

    def __aiter__(self) -> MutedSource:
        return self

    # Not an async generator: the garbage collector would close an unfinished one at any time.
    async def __anext__(self) -> Pcm:
        muter = self._muter
        if muter is None or self._blocks is None:
            raise StopAsyncIteration
        try:
            block = await anext(self._blocks)
        except StopAsyncIteration:
            self._muter = None
            return await self._in_thread(muter.finish)
        return await self._in_thread(lambda: muter.push(block))

    async def _in_thread(self, work: Callable[[], Pcm]) -> Pcm:
        return await to_thread.run_sync(work, limiter=self._limiter)


class NonSpeechMuter:
    """Replaces everything but speech by silence. Lengths stay the same; the sizes of blocks change nothing."""

    def __init__(self, detector: SpeechDetector) -> None:
        self._detector = detector
        self._partial_chunk = NO_PCM
        self._undecided: deque[Pcm] = deque()  # chunks that are kept if speech follows soon
        self._num_voiced = 0  # chunks in a row
        self._num_since_speech = MIN_PAUSE_CHUNKS + MIN_SPEECH_CHUNKS  # chunks; 0 in speech

    def push(self, block: Pcm) -> Pcm:
        pcm = np.concatenate((self._partial_chunk, block))
        num_whole = len(pcm) // CHUNK_SAMPLES * CHUNK_SAMPLES
        self._partial_chunk = pcm[num_whole:]
        decided: list[Pcm] = []
        for index, probability in enumerate(speech_probabilities(self._detector, pcm[:num_whole]).tolist()):
            decided += self._decide(pcm[index * CHUNK_SAMPLES : (index + 1) * CHUNK_SAMPLES], probability)
        return np.concatenate((NO_PCM, *decided))

    def finish(self) -> Pcm:
        """The undecided chunks: no speech follows."""
        last, self._partial_chunk = self._partial_chunk, NO_PCM
        decided = self._decide(last, float(speech_probabilities(self._detector, last)[0])) if len(last) else []
        decided += [np.zeros_like(chunk) for chunk in self._undecided]
        self._undecided.clear()
        return np.concatenate((NO_PCM, *decided))

    def _decide(self, chunk: Pcm, probability: float) -> list[Pcm]:
        """The chunks, kept or muted, on which this next chunk decides; the others wait until speech follows or not."""
        threshold = STILL_SPEECH_PROBABILITY if self._num_voiced else SPEECH_PROBABILITY
        self._num_voiced = self._num_voiced + 1 if probability >= threshold else 0
        self._num_since_speech = 0 if self._num_voiced >= MIN_SPEECH_CHUNKS else self._num_since_speech + 1
        self._undecided.append(chunk)
        decided: list[Pcm] = []
        if self._num_since_speech <= MARGIN_CHUNKS:
            decided += self._undecided
            self._undecided.clear()
        elif self._num_since_speech >= MIN_PAUSE_CHUNKS + MIN_SPEECH_CHUNKS:
            while len(self._undecided) >= MARGIN_CHUNKS + MIN_SPEECH_CHUNKS:
                decided.append(np.zeros_like(self._undecided.popleft()))
        return decided
