"""A recording → what a benchmark sends: clips of a few seconds, a long file, WAV bytes; the same for the same seed.

Knows nothing about models or clients.
"""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import numpy as np

from asr_api.audio.decode import Decoder
from asr_api.audio.source import Spool
from asr_api.audio.windows import find_pause
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

MINUTE = Path(__file__).with_name("minute.mp3")  # a minute of short sentences, which the built-in model understands
PAUSE_SAMPLES = SAMPLE_RATE_HZ // 2  # between two rounds of the same recording
NEAR_SAMPLES = SAMPLE_RATE_HZ  # how far from its drawn end a clip may end, so that it ends in a pause
SAMPLE_BYTES = 2


async def read_pcm(decoder: Decoder, spool: Spool) -> Pcm:
    """All of a recording. Raises what the decoder raises."""
    async with decoder.open(spool) as stream:
        return np.concatenate([block async for block in stream])


def looped(pcm: Pcm, num_samples: int) -> Pcm:
    """The recording over and over, until there is enough of it."""
    round_ = np.concatenate([pcm, np.zeros(PAUSE_SAMPLES, np.int16)])
    return np.resize(round_, num_samples)


def cut_clips(pcm: Pcm, num_clips: int, lengths_s: tuple[float, float], seed: int = 5) -> list[Pcm]:
    """Clips of drawn lengths, one where the other ended, each to the nearest pause if one is near."""
    rng, shortest, longest = Random(seed), *(round(length_s * SAMPLE_RATE_HZ) for length_s in lengths_s)  # noqa: S311
    speech = looped(pcm, (num_clips + 1) * longest)
    clips: list[Pcm] = []
    start = 0
    for _ in range(num_clips):
        drawn = rng.randint(shortest, longest)
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
