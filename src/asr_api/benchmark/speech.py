"""A recording → what a benchmark sends: clips of a few seconds, long files, all as spools; the same for the same seed.

Knows nothing about models or clients.
"""

from __future__ import annotations

import contextlib
import math
import os
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import numpy as np

from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.sources.spool import Spool, spool_chunks
from asr_api.audio.window_cutter import find_pause
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

MINUTE = Path(__file__).with_name("minute.mp3")  # a minute of short sentences, which the built-in model understands
PAUSE_SAMPLES = SAMPLE_RATE_HZ // 2  # between two rounds of the same recording
NEAR_SAMPLES = SAMPLE_RATE_HZ  # how far from its drawn end a clip may end, so that it ends in a pause
SAMPLE_BYTES = 2
CLIP_LENGTHS_S, WINDOW_LENGTHS_S = (5.0, 15.0), (27.0, 29.9)
NUM_CLIPS, NUM_WINDOWS = 64, 32  # different ones
SHORT_FILE_S, MAX_FILE_S = 60.0, 14_400.0  # what is longer than four hours tells nothing new
MAX_RECORDING_S = 900.0  # more of a recording is not needed


class Speech:
    """clips: of 5 to 15 s, as WAV; clip_s: their mean length
    windows: about as long as a model takes; windows_s: all of them
    Close it: they are open files.
    """

    def __init__(self, recording: Spool, pcm: Pcm) -> None:
        self.clips: list[Spool] = []
        self.clip_s = 0.0
        self.windows: list[Spool] = []
        self.windows_s = 0.0
        self._recording = recording
        self._pcm = pcm
        self._files = contextlib.AsyncExitStack()

    async def aclose(self) -> None:
        await self._files.aclose()

    async def cut(self) -> None:
        clips = cut_clips(self._pcm, NUM_CLIPS, CLIP_LENGTHS_S)
        self.clip_s = sum(len(clip) for clip in clips) / len(clips) / SAMPLE_RATE_HZ
        self.clips = [await self._spool(wav(clip)) for clip in clips]
        windows = cut_clips(self._pcm, NUM_WINDOWS, WINDOW_LENGTHS_S)
        self.windows_s = sum(len(window) for window in windows) / SAMPLE_RATE_HZ
        self.windows = [await self._spool(wav(window)) for window in windows]

    async def short_file(self) -> Spool:
        """Two windows, for a first impression."""
        return await self._spool(wav(looped(self._pcm, round(SHORT_FILE_S * SAMPLE_RATE_HZ))))

    async def long_file(self, wanted_s: float) -> Spool:
        """About as long as wanted, from two windows to MAX_FILE_S. It is the recording itself where that has a fitting
        length, and as often as it takes where that can be done; else a WAV file of what is said in it.
        """
        wanted_s, own_s = min(max(SHORT_FILE_S, wanted_s), MAX_FILE_S), len(self._pcm) / SAMPLE_RATE_HZ
        minute = MINUTE.read_bytes()
        if os.pread(self._recording.fd, len(minute) + 1, 0) == minute:  # frames of MP3 may be strung together
            return await self._spool(minute * math.ceil(wanted_s / own_s))
        if own_s < MAX_RECORDING_S and wanted_s / 2 <= own_s <= 2 * wanted_s:
            return self._recording
        return await self._spool(wav(looped(self._pcm, round(wanted_s * SAMPLE_RATE_HZ))))

    async def _spool(self, body: bytes) -> Spool:
        async def chunks() -> AsyncIterator[bytes]:
            yield body

        return await self._files.enter_async_context(await spool_chunks(chunks(), sys.maxsize))


async def read_speech(recording: Spool, decoder: Decoder) -> Speech:
    """Raises what the decoder says of the recording, which stays the caller's."""
    speech = Speech(recording, await read_pcm(decoder, recording, MAX_RECORDING_S))
    await speech.cut()
    return speech


async def read_pcm(decoder: Decoder, spool: Spool, max_s: float = math.inf) -> Pcm:
    """A recording, or its first part. Raises what the decoder raises."""
    blocks: list[Pcm] = []
    num_samples = 0
    async with decoder.decode(spool) as source:
        async for block in source:
            blocks.append(block)
            num_samples += len(block)
            if num_samples >= max_s * SAMPLE_RATE_HZ:
                break
    return np.concatenate(blocks)


def looped(pcm: Pcm, num_samples: int) -> Pcm:
    """The recording over and over, until there is enough of it."""
    round_ = np.concatenate([pcm, np.zeros(PAUSE_SAMPLES, np.int16)])
    return np.resize(round_, num_samples)


def cut_clips(pcm: Pcm, num_clips: int, lengths_s: tuple[float, float], seed: int = 5) -> list[Pcm]:
    """Clips of drawn lengths, one where the other ended, each to the nearest pause if one is near.

    Every second one is as much longer than the mean as the one before is shorter, so that a few are like many.
    """
    rng, shortest, longest = Random(seed), *(round(length_s * SAMPLE_RATE_HZ) for length_s in lengths_s)  # noqa: S311
    speech = looped(pcm, (num_clips + 1) * longest)
    clips: list[Pcm] = []
    start = 0
    drawn = shortest
    for number in range(num_clips):
        drawn = shortest + longest - drawn if number % 2 else rng.randint(shortest, longest)
        earliest, latest = max(shortest, drawn - NEAR_SAMPLES), min(longest, drawn + NEAR_SAMPLES)
        num_samples = find_pause(speech[start : start + longest + NEAR_SAMPLES], earliest, latest) or drawn
        clips.append(speech[start : start + num_samples])
        start += num_samples
    return clips


def wav(pcm: Pcm) -> bytes:
    return wav_header(len(pcm)) + pcm.tobytes()


def wav_header(num_samples: int) -> bytes:
    num_bytes = SAMPLE_BYTES * num_samples
    sound = struct.pack("<HHIIHH", 1, 1, SAMPLE_RATE_HZ, SAMPLE_BYTES * SAMPLE_RATE_HZ, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
    return (
        struct.pack("<4sI8sI", b"RIFF", 36 + num_bytes, b"WAVEfmt ", len(sound))
        + sound
        + struct.pack("<4sI", b"data", num_bytes)
    )
