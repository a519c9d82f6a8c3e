"""Muted source: a `PcmSource` with silence in place of everything but speech.

Nothing is cut out or moved, so that no time needs mapping back and no word is spliced. Holds the PCM of the longest
pause that may stay as it is, two seconds by default.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
from anyio import CapacityLimiter, to_thread

from asr_api.audio.vad.speech_activity import (
    CHUNK_MS,
    CHUNK_SAMPLES,
    OpenDetector,
    SpeechDetector,
    speech_probabilities,
)
from asr_api.options import VadOptions
from asr_api.pcm import AudioEnd, Pcm, PcmSource

# Speech that began at the threshold continues down to one that is lower by the first, and never below the second.
STILL_SPEECH_MARGIN, MIN_STILL_SPEECH = 0.15, 0.01
MIN_SPEECH_CHUNKS = round(200 / CHUNK_MS)  # a shorter sound is the beginning of a chord, or a click

NO_PCM: Pcm = np.empty(0, np.int16)


class MutedSource:
    """The speech of another `PcmSource`, later by what it holds. Enters and leaves the other source."""

    def __init__(
        self, source: PcmSource, options: VadOptions, open_detector: OpenDetector, limiter: CapacityLimiter
    ) -> None:
        """limiter: of threads, in which audio is analysed"""
        self._source = source
        self._options = options
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
        detector = await to_thread.run_sync(self._open_detector, limiter=self._limiter)
        self._muter = NonSpeechMuter(detector, self._options)
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

    def __init__(self, detector: SpeechDetector, options: VadOptions) -> None:
        self._detector = detector
        self._threshold = options.threshold
        self._still_threshold = max(options.threshold - STILL_SPEECH_MARGIN, MIN_STILL_SPEECH)
        # Kept for soft first and last sounds. In a margin of a second, models transcribed words in music.
        self._margin_chunks = round(options.prefix_padding_ms / CHUNK_MS)
        # Chunks after the last one of speech: here it is known that no speech follows soon.
        self._pause_chunks = round(options.silence_duration_ms / CHUNK_MS) + MIN_SPEECH_CHUNKS
        self._partial_chunk = NO_PCM
        self._undecided: deque[Pcm] = deque()  # chunks that are kept if speech follows soon
        self._num_voiced = 0  # chunks in a row
        self._num_since_speech = max(self._pause_chunks, self._margin_chunks)  # chunks; 0 in speech

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
        threshold = self._still_threshold if self._num_voiced else self._threshold
        self._num_voiced = self._num_voiced + 1 if probability >= threshold else 0
        self._num_since_speech = 0 if self._num_voiced >= MIN_SPEECH_CHUNKS else self._num_since_speech + 1
        self._undecided.append(chunk)
        decided: list[Pcm] = []
        if self._num_since_speech <= self._margin_chunks:
            decided += self._undecided
            self._undecided.clear()
        elif self._num_since_speech >= self._pause_chunks:
            while len(self._undecided) >= self._margin_chunks + MIN_SPEECH_CHUNKS:
                decided.append(np.zeros_like(self._undecided.popleft()))
        return decided
