"""Speech for a benchmark: clips and long files, as bytes of WAV or MP3, made of one recording."""

from __future__ import annotations

import io
import math
import wave
from pathlib import Path

import numpy as np

from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.sources.spool import Spool
from asr_api.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ, Pcm

MINUTE = Path(__file__).with_name("minute.mp3")  # a minute of short sentences, which the built-in model recognises
PAUSE_SAMPLES = SAMPLE_RATE_HZ // 2  # between two repetitions of the recording


async def read_pcm(decoder: Decoder, spool: Spool, max_s: float = math.inf) -> Pcm:
    """A recording, or its first part. Raises what decoding raises."""
    blocks: list[Pcm] = []
    num_samples = 0
    async with decoder.decode(spool) as source:
        async for block in source:
            blocks.append(block)
            num_samples += len(block)
            if num_samples >= max_s * SAMPLE_RATE_HZ:
                break
    return np.concatenate(blocks)


def cut_clips(pcm: Pcm, num_clips: int, length_s: float) -> list[bytes]:
    """WAV files of one length, each of which starts where the one before ends; the recording is repeated."""
    repeated = np.concatenate([pcm, np.zeros(PAUSE_SAMPLES, np.int16)])
    return [wav_bytes(clip) for clip in np.resize(repeated, (num_clips, round(length_s * SAMPLE_RATE_HZ)))]


def wav_bytes(pcm: Pcm) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, SAMPLE_BYTES, SAMPLE_RATE_HZ, len(pcm), "NONE", ""))
        writer.writeframes(pcm.tobytes())
    return file.getvalue()
