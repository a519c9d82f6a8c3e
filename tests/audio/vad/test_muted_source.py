"""Muted source: everything but speech is silence in place, and requests share the threads of detectors."""

from __future__ import annotations

import asyncio
import sys
import threading

import numpy as np
import pytest
from anyio import CapacityLimiter
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio.vad.muted_source import MIN_SPEECH_CHUNKS, MutedSource, NonSpeechMuter
from asr_api.audio.vad.silero import SileroVad
from asr_api.audio.vad.speech_activity import CHUNK_MS, CHUNK_SAMPLES, Floats, OpenDetector, SpeechDetector
from asr_api.options import VadOptions
from asr_api.pcm import SAMPLE_RATE_HZ, AudioEnd, Pcm
from tests.service import FakeSource

DEFAULTS = VadOptions()
MARGIN_CHUNKS, MIN_PAUSE_CHUNKS = 12, 62  # of the defaults
VOICE, MURMUR, NOISE = 1000, 500, 10  # loudness of a chunk → 0.9, 0.4 and 0.1


class FirstSampleDetector:
    def probabilities(self, pcm: Pcm) -> Floats:
        firsts = pcm.reshape(-1, CHUNK_SAMPLES)[:, 0]
        return np.array([{VOICE: 0.9, MURMUR: 0.4}.get(int(first), 0.1) for first in firsts], np.float32)


def sound(*levels: tuple[int, int]) -> Pcm:
    """(level, number of chunks), …"""
    return np.concatenate([np.full(count * CHUNK_SAMPLES, level, np.int16) for level, count in levels])


def muted(pcm: Pcm, *cuts: int, detector: SpeechDetector | None = None, options: VadOptions = DEFAULTS) -> Pcm:
    muter = NonSpeechMuter(detector or FirstSampleDetector(), options)
    blocks = np.split(pcm, sorted(cuts))
    return np.concatenate([*(muter.push(block) for block in blocks), muter.finish()])


def test_all_but_speech_and_a_margin_is_muted_in_place() -> None:
    pcm = sound((NOISE, 100), (VOICE, 10), (NOISE, 100))
    kept = np.flatnonzero(muted(pcm))
    assert kept[0] == (100 - MARGIN_CHUNKS) * CHUNK_SAMPLES
    assert kept[-1] + 1 == (110 + MARGIN_CHUNKS) * CHUNK_SAMPLES
    assert np.array_equal(muted(pcm)[kept], pcm[kept])
    assert len(kept) == kept[-1] + 1 - kept[0]
    assert not muted(sound((NOISE, 90))).any()


@pytest.mark.parametrize("count", [1, MIN_SPEECH_CHUNKS - 1])
def test_sounds_too_short_for_speech_are_muted(count: int) -> None:
    assert not muted(sound((NOISE, 50), (VOICE, count), (NOISE, 50), (VOICE, count))).any()


def test_short_pauses_and_fading_speech_are_kept() -> None:
    pause = sound((VOICE, 8), (NOISE, MIN_PAUSE_CHUNKS), (VOICE, 8))
    assert np.array_equal(muted(pause), pause)
    longer = muted(sound((VOICE, 8), (NOISE, MIN_PAUSE_CHUNKS + 1), (VOICE, 8)))
    assert np.count_nonzero(longer) == (16 + 2 * MARGIN_CHUNKS) * CHUNK_SAMPLES
    fading = sound((VOICE, 1), (MURMUR, 100))
    assert np.array_equal(muted(fading), fading)
    assert not muted(sound((MURMUR, 100))).any()  # speech begins at a higher probability than it continues


@pytest.mark.parametrize(
    ("threshold", "levels", "is_kept"),
    [
        (0.4, [(MURMUR, 30)], True),
        (0.41, [(MURMUR, 30)], False),
        (0.89, [(VOICE, 30)], True),
        (0.91, [(VOICE, 30)], False),
        (0.55, [(VOICE, 1), (MURMUR, 30)], True),  # speech continues down to 0.15 below the threshold
        (0.56, [(VOICE, 1), (MURMUR, 30)], False),
        (0.1, [(NOISE, 30)], True),
        (0.0, [(NOISE, 30)], True),
    ],
)
def test_the_threshold_says_what_is_speech(threshold: float, levels: list[tuple[int, int]], is_kept: bool) -> None:
    pcm = sound(*levels)
    assert np.array_equal(muted(pcm, options=VadOptions(threshold=threshold)), pcm) is is_kept


class FaintDetector:
    """Speech at first, then what hardly any detector takes for it."""

    def __init__(self, probability: float) -> None:
        self._probability = probability

    def probabilities(self, pcm: Pcm) -> Floats:
        n_chunks = len(pcm) // CHUNK_SAMPLES
        return np.array([0.5, *[self._probability] * (n_chunks - 1)], np.float32)


@pytest.mark.parametrize(("probability", "is_kept"), [(0.011, True), (0.009, False)])
def test_speech_never_continues_below_one_percent(probability: float, is_kept: bool) -> None:
    pcm = sound((VOICE, 30))
    kept = muted(pcm, detector=FaintDetector(probability), options=VadOptions(threshold=0.1))
    assert np.array_equal(kept, pcm) is is_kept


@pytest.mark.parametrize("padding_chunks", [0, 3, 40])
@pytest.mark.parametrize("silence_chunks", [0, 10, 100])
def test_padding_is_kept_and_shorter_pauses_stay(padding_chunks: int, silence_chunks: int) -> None:
    options = VadOptions(0.5, padding_chunks * CHUNK_MS, silence_chunks * CHUNK_MS)
    alone = muted(sound((NOISE, 150), (VOICE, 8), (NOISE, 150)), options=options)
    kept = np.flatnonzero(alone) // CHUNK_SAMPLES
    assert (kept[0], kept[-1] + 1) == (150 - padding_chunks, 158 + padding_chunks)
    shortest = max(silence_chunks, 2 * padding_chunks)  # pause that has nothing to mute
    pause = sound((VOICE, 8), (NOISE, shortest), (VOICE, 8))
    assert np.array_equal(muted(pause, options=options), pause)
    longer = muted(sound((VOICE, 8), (NOISE, shortest + 1), (VOICE, 8)), options=options)
    assert np.count_nonzero(longer) == (16 + 2 * padding_chunks) * CHUNK_SAMPLES


@given(
    st.lists(st.tuples(st.sampled_from([VOICE, MURMUR, NOISE]), st.integers(1, 80)), max_size=8),
    st.integers(0, CHUNK_SAMPLES - 1),
    st.lists(st.integers(0, 60_000), max_size=6),
)
@settings(max_examples=50, deadline=None)
def test_block_sizes_do_not_move_speech(levels: list[tuple[int, int]], extra: int, cuts: list[int]) -> None:
    pcm = sound(*levels, (VOICE, 1))
    pcm = np.concatenate((pcm, np.full(extra, NOISE, np.int16)))
    whole = muted(pcm)
    assert len(whole) == len(pcm)
    assert np.all((whole == pcm) | (whole == 0))
    assert np.array_equal(muted(pcm, *(cut for cut in cuts if cut < len(pcm))), whole)


def test_at_most_two_seconds_are_held() -> None:
    muter, n_held, most = NonSpeechMuter(FirstSampleDetector(), DEFAULTS), 0, 0
    for number in range(300):
        block = sound((VOICE if number in {9, 10} else NOISE, 3))
        n_held += len(block) - len(muter.push(block))
        most = max(most, n_held)
    assert most <= 2.4 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("length", [0, 1, CHUNK_SAMPLES - 1, 1600])
def test_short_recordings_keep_their_length(length: int) -> None:
    pcm = np.full(length, -32768, np.int16)
    assert len(muted(pcm)) == length


def test_the_real_model_mutes_noise_and_tones() -> None:
    times_s = np.arange(4 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    chord = np.sin(2 * np.pi * np.outer([220, 277, 330, 440], times_s)).sum(0) * 3000
    noise = np.random.default_rng(1).normal(size=len(times_s)) * 3000
    for pcm in (chord, noise):
        assert not muted(pcm.astype(np.int16), detector=SileroVad()).any()


# -- as a source -------------------------------------------------------------------------------------------------------


def speech_source() -> FakeSource:
    return FakeSource(sound((VOICE, 30)), block_s=0.3, last_end=AudioEnd(is_truncated=True))


async def samples_of(source: FakeSource, open_detector: OpenDetector, limiter: CapacityLimiter) -> int:
    async with MutedSource(source, DEFAULTS, open_detector, limiter) as pcm:
        assert (source.is_open, pcm.duration_hint_ms) == (True, source.duration_hint_ms)
        n_samples = sum([len(block) async for block in pcm])
    assert (source.is_open, pcm.end) == (False, AudioEnd(is_truncated=True))
    return n_samples


class SlowDetector:
    def __init__(self) -> None:
        self.has_started, self.release = threading.Event(), threading.Event()

    def probabilities(self, pcm: Pcm) -> Floats:
        self.has_started.set()
        self.release.wait(10)
        return np.zeros(len(pcm) // CHUNK_SAMPLES, np.float32)


@pytest.mark.anyio
async def test_a_slow_detector_stops_neither_other_requests_nor_a_cancellation() -> None:
    slow, limiter, source = SlowDetector(), CapacityLimiter(2), speech_source()
    slow_request = asyncio.create_task(samples_of(source, lambda: slow, limiter))
    try:
        assert await asyncio.to_thread(slow.has_started.wait, 5)
        async with asyncio.timeout(5):
            assert await samples_of(speech_source(), FirstSampleDetector, limiter) == 30 * CHUNK_SAMPLES
        assert not slow_request.done()
        slow_request.cancel()
    finally:
        slow.release.set()
    await asyncio.wait([slow_request])
    assert slow_request.cancelled()
    assert not source.is_open


@pytest.mark.anyio
async def test_an_unfinished_request_leaves_no_async_generator() -> None:
    left_behind: list[str] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=lambda generator: left_behind.append(repr(generator)))
    try:
        async with MutedSource(speech_source(), DEFAULTS, FirstSampleDetector, CapacityLimiter(1)) as pcm:
            await anext(aiter(pcm))
        del pcm
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert [name for name in left_behind if "FakeSource" not in name] == []


@pytest.mark.anyio
async def test_a_source_that_was_left_gives_no_more_audio() -> None:
    async with MutedSource(speech_source(), DEFAULTS, FirstSampleDetector, CapacityLimiter(1)) as pcm:
        await anext(pcm)
    with pytest.raises(StopAsyncIteration):
        await anext(pcm)
