"""Clips are the recording, in order and without gaps; what is sent is what was said."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.sources.open_reference import open_reference
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.benchmark.speech import MINUTE, cut_clips, looped, read_speech, wav
from asr_api.pcm import SAMPLE_RATE_HZ
from tests.engines.scripted import say

pytestmark = pytest.mark.anyio


def test_clips_have_the_lengths_and_lose_nothing() -> None:
    pcm = say(range(1, 40), word_s=0.7, pause_s=0.6)
    clips = cut_clips(pcm, 20, (5, 15))
    lengths_s = [len(clip) / SAMPLE_RATE_HZ for clip in clips]
    assert all(5 <= length_s <= 15 for length_s in lengths_s)
    assert len({round(length_s) for length_s in lengths_s}) > 5
    assert sum(lengths_s) / 20 == pytest.approx(10, abs=1)
    whole = np.concatenate(clips)
    assert np.array_equal(whole, looped(pcm, len(whole)))
    assert sum(bool(clip[-1]) for clip in clips) <= 2, "a clip ends in a pause"


def test_wav_is_read_back() -> None:
    pcm = say([1, 2, 3])
    with wave.open(io.BytesIO(wav(pcm))) as file:
        assert (file.getframerate(), file.getnchannels()) == (SAMPLE_RATE_HZ, 1)
        assert file.readframes(file.getnframes()) == pcm.tobytes()


async def test_the_recording_of_the_package_makes_files_of_any_length() -> None:
    decoder = Decoder()
    try:
        async with await open_reference(str(MINUTE), MediaPolicy(), is_local_client=True) as recording:
            speech = await read_speech(recording, decoder)
            async with decoder.decode(await speech.long_file(200)) as stream:
                assert (stream.duration_hint_ms or 0) == pytest.approx(200_000, abs=46_000)
                block = await stream.__anext__()
            assert block.size
            await speech.aclose()
    finally:
        await decoder.aclose()


def test_the_recording_of_the_package_is_a_sample() -> None:
    assert MINUTE.read_bytes() == (Path(__file__).parents[2] / "samples" / "minute.mp3").read_bytes()
