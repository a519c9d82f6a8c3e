"""Recordings of benchmarks/server: clips of random lengths lose nothing, and a streamed WAV file is valid."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from asr_api.pcm import SAMPLE_RATE_HZ
from benchmarks.server.audio import cut_clips, repeat, stream_wav
from tests.engines.scripted import number_pcm


def test_clips_have_lengths_in_the_range_end_in_pauses_and_lose_nothing() -> None:
    pcm = number_pcm(range(1, 40), word_s=0.7, pause_s=0.6)
    clips = cut_clips(pcm, 20, (5, 15))
    lengths_s = [len(clip) / SAMPLE_RATE_HZ for clip in clips]
    assert all(5 <= length_s <= 15 for length_s in lengths_s)
    assert len({round(length_s) for length_s in lengths_s}) > 5
    assert sum(lengths_s) / 20 == pytest.approx(10, abs=1)
    joined = np.concatenate(clips)
    assert np.array_equal(joined, repeat(pcm, len(joined)))
    assert sum(bool(clip[-1]) for clip in clips) <= 2, "a clip ends in a pause"


@pytest.mark.anyio
async def test_a_streamed_file_has_the_length_of_its_header() -> None:
    pcm = number_pcm([1, 2, 3])
    data = b"".join([block async for block in stream_wav(pcm, 100)])
    with wave.open(io.BytesIO(data)) as file:
        header = (file.getframerate(), file.getnchannels(), file.getnframes())
        assert header == (SAMPLE_RATE_HZ, 1, 100 * SAMPLE_RATE_HZ)
        assert file.readframes(len(pcm)) == pcm.tobytes()
