"""Recordings for the benchmark of a server: decoded files, clips cut at pauses, and WAV streams of any length."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import numpy as np

from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.piece_cutter import quietest_chunk
from asr_api.audio.sources.open_reference import open_reference
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.audio.vad.speech_activity import CHUNK_SAMPLES
from asr_api.benchmark.speech import PAUSE_SAMPLES, read_pcm
from asr_api.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ, Pcm

BLOCK_SAMPLES = 2**19
MAX_SHIFT_SAMPLES = SAMPLE_RATE_HZ  # from the random end of a clip to the quietest point, where it ends


async def read_recording(path: Path) -> Pcm:
    decoder = Decoder()
    policy = MediaPolicy(max_media_bytes=2**31)
    reference = str(path.absolute())  # noqa: ASYNC240 – it reads no disk
    try:
        async with await open_reference(reference, policy, is_local_client=True) as spool:
            return await read_pcm(decoder, spool)
    finally:
        await decoder.aclose()


def repeat(pcm: Pcm, num_samples: int) -> Pcm:
    """The recording again and again, with a pause after each."""
    return np.resize(np.concatenate([pcm, np.zeros(PAUSE_SAMPLES, np.int16)]), num_samples)


def cut_clips(pcm: Pcm, num_clips: int, lengths_s: tuple[float, float], seed: int = 5) -> list[Pcm]:
    """Clips of random lengths in this range, each of which starts where the one before ends.

    A clip ends at the quietest point near its random end. Every second clip is as much longer than the mean as the one
    before is shorter, so that few clips have the same mean length as many.
    """
    rng, shortest, longest = Random(seed), *(round(length_s * SAMPLE_RATE_HZ) for length_s in lengths_s)  # noqa: S311
    speech = repeat(pcm, (num_clips + 1) * longest)
    clips: list[Pcm] = []
    start, length = 0, shortest
    for number in range(num_clips):
        length = shortest + longest - length if number % 2 else rng.randint(shortest, longest)
        earliest, latest = max(shortest, length - MAX_SHIFT_SAMPLES), min(longest, length + MAX_SHIFT_SAMPLES)
        ahead = speech[start : start + longest + MAX_SHIFT_SAMPLES]
        unknown = np.zeros(len(ahead) // CHUNK_SAMPLES, np.float32)  # who speaks: the level alone decides
        num_samples = CHUNK_SAMPLES * quietest_chunk(
            ahead, unknown, -(-earliest // CHUNK_SAMPLES), latest // CHUNK_SAMPLES
        )
        clips.append(speech[start : start + num_samples])
        start += num_samples
    return clips


async def stream_wav(pcm: Pcm, duration_s: float) -> AsyncIterator[bytes]:
    """A WAV file of this length, the recording again and again, which is never in memory as a whole."""
    num_samples = round(duration_s * SAMPLE_RATE_HZ)
    yield wav_header(num_samples)
    block = repeat(pcm, max(1, BLOCK_SAMPLES // len(pcm)) * len(pcm))
    for start in range(0, num_samples, len(block)):
        yield block[: num_samples - start].tobytes()


def wav_header(num_samples: int) -> bytes:
    """Of a file with this number of samples, which need not exist yet."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, SAMPLE_BYTES, SAMPLE_RATE_HZ, num_samples, "NONE", ""))
        writer.writeframesraw(b"")
        return file.getvalue()  # closing would write the length of no samples
