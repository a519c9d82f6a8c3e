"""Voice activity filter: what is muted and what is kept, and how requests share its threads."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio import vad
from asr_api.audio.vad import (
    CHUNK_SAMPLES,
    MARGIN_CHUNKS,
    MIN_PAUSE_CHUNKS,
    MIN_SPEECH_CHUNKS,
    NonSpeechMuter,
    VoiceActivityFilter,
)
from asr_api.pcm import SAMPLE_RATE_HZ, AudioEnd, Pcm

VOICE, MURMUR, NOISE = 1000, 500, 10  # loudness of a chunk → 0.9, 0.4 and 0.1


def probability(chunk: bytes) -> float:
    return {VOICE: 0.9, MURMUR: 0.4}.get(int(np.frombuffer(chunk, np.int16)[0]), 0.1)


def sound(*levels: tuple[int, int]) -> Pcm:
    """(level, number of chunks), …"""
    return np.concatenate([np.full(count * CHUNK_SAMPLES, level, np.int16) for level, count in levels])


def muted(pcm: Pcm, *cuts: int) -> Pcm:
    muter = NonSpeechMuter(probability)
    blocks = np.split(pcm, sorted(cuts))
    return np.concatenate([*(muter.push(block) for block in blocks), muter.finish()])


def test_speech_is_kept_with_a_margin_and_all_else_is_muted_in_place() -> None:
    pcm = sound((NOISE, 100), (VOICE, 10), (NOISE, 100))
    kept = np.flatnonzero(muted(pcm))
    assert kept[0] == (100 - MARGIN_CHUNKS) * CHUNK_SAMPLES
    assert kept[-1] + 1 == (110 + MARGIN_CHUNKS) * CHUNK_SAMPLES
    assert np.array_equal(muted(pcm)[kept], pcm[kept])
    assert len(kept) == kept[-1] + 1 - kept[0]
    assert not muted(sound((NOISE, 90))).any()
    for count in (1, MIN_SPEECH_CHUNKS - 1):
        assert not muted(sound((NOISE, 50), (VOICE, count), (NOISE, 50), (VOICE, count))).any()


def test_short_pauses_and_fading_speech_are_kept() -> None:
    pause = sound((VOICE, 8), (NOISE, MIN_PAUSE_CHUNKS), (VOICE, 8))
    assert np.array_equal(muted(pause), pause)
    longer = muted(sound((VOICE, 8), (NOISE, MIN_PAUSE_CHUNKS + 1), (VOICE, 8)))
    assert np.count_nonzero(longer) == (16 + 2 * MARGIN_CHUNKS) * CHUNK_SAMPLES
    fading = sound((VOICE, 1), (MURMUR, 100))
    assert np.array_equal(muted(fading), fading)
    assert not muted(sound((MURMUR, 100))).any(), (
        "the threshold for the beginning of speech is higher than for its continuation"
    )


@given(
    st.lists(st.tuples(st.sampled_from([VOICE, MURMUR, NOISE]), st.integers(1, 80)), max_size=8),
    st.integers(0, CHUNK_SAMPLES - 1),
    st.lists(st.integers(0, 60_000), max_size=6),
)
@settings(max_examples=50, deadline=None)
def test_the_time_of_speech_does_not_depend_on_block_sizes(
    levels: list[tuple[int, int]], extra: int, cuts: list[int]
) -> None:
    pcm = sound(*levels, (VOICE, 1))
    pcm = np.concatenate((pcm, np.full(extra, NOISE, np.int16)))
    whole = muted(pcm)
    assert len(whole) == len(pcm)
    assert np.all((whole == pcm) | (whole == 0))
    assert np.array_equal(muted(pcm, *(cut for cut in cuts if cut < len(pcm))), whole)


def test_it_holds_at_most_two_seconds() -> None:
    muter = NonSpeechMuter(probability)
    held = []
    for number in range(300):
        muter.push(sound((VOICE if number in {9, 10} else NOISE, 3)))
        held.append(sum(map(len, muter._undecided)) + len(muter._partial_chunk))
    assert max(held) <= 2.4 * SAMPLE_RATE_HZ


@pytest.mark.skipif(not vad.is_installed(), reason="asr-api[vad] is not installed")
def test_the_real_model_mutes_noise_and_tones() -> None:
    times_s = np.arange(4 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    chord = np.sin(2 * np.pi * np.outer([220, 277, 330, 440], times_s)).sum(0) * 3000
    noise = np.random.default_rng(1).normal(size=len(times_s)) * 3000
    for pcm in (chord, noise):
        muter = NonSpeechMuter(vad.open_detector())
        assert not np.concatenate((muter.push(pcm.astype(np.int16)), muter.finish())).any()


# -- as a source -------------------------------------------------------------------------------------------------------


class BlockSource:
    """A `PcmSource` of blocks of speech."""

    def __init__(self, n_blocks: int = 3) -> None:
        self.duration_hint_ms: int | None = 1000
        self.end = AudioEnd()
        self.is_open = False
        self._n_blocks = n_blocks

    async def __aenter__(self) -> BlockSource:
        self.is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False

    async def __aiter__(self) -> AsyncIterator[Pcm]:
        for _ in range(self._n_blocks):
            yield sound((VOICE, 10))
        self.end = AudioEnd(is_truncated=True)


@pytest.fixture
def voice_activity(monkeypatch: pytest.MonkeyPatch) -> Iterator[VoiceActivityFilter]:
    monkeypatch.setattr(vad, "open_detector", lambda: probability)
    voice_activity = VoiceActivityFilter()
    yield voice_activity
    voice_activity.close()


async def samples_of(voice_activity: VoiceActivityFilter, source: BlockSource) -> int:
    async with voice_activity.only_speech(source) as pcm:
        assert (source.is_open, pcm.duration_hint_ms) == (True, 1000)
        return sum([len(block) async for block in pcm])


@pytest.mark.anyio
async def test_the_muted_source_has_all_samples_and_the_end_of_the_other(voice_activity: VoiceActivityFilter) -> None:
    source = BlockSource()
    muted_source = voice_activity.only_speech(source)
    async with muted_source as pcm:
        blocks = [block async for block in pcm]
    assert sum(map(len, blocks)) == 30 * CHUNK_SAMPLES
    assert muted_source.end == AudioEnd(is_truncated=True)
    assert not source.is_open


@pytest.mark.anyio
async def test_a_slow_detector_does_not_stop_other_requests(
    voice_activity: VoiceActivityFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, release = threading.Event(), threading.Event()

    def slow(_chunk: bytes) -> float:
        started.set()
        release.wait(10)
        return 0.0

    detectors = [slow, probability]
    monkeypatch.setattr(vad, "open_detector", lambda: detectors.pop(0))
    slow_request = asyncio.create_task(samples_of(voice_activity, BlockSource()))
    try:
        assert await asyncio.to_thread(started.wait, 5)
        async with asyncio.timeout(5):
            assert await samples_of(voice_activity, BlockSource()) == 30 * CHUNK_SAMPLES
        assert not slow_request.done()
    finally:
        release.set()
    assert await slow_request == 30 * CHUNK_SAMPLES


@pytest.mark.anyio
async def test_a_cancelled_request_leaves_its_source_at_once(
    voice_activity: VoiceActivityFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, release = threading.Event(), threading.Event()

    def slow(_chunk: bytes) -> float:
        started.set()
        release.wait(10)
        return 0.0

    monkeypatch.setattr(vad, "open_detector", lambda: slow)
    source = BlockSource()
    request = asyncio.create_task(samples_of(voice_activity, source))
    try:
        assert await asyncio.to_thread(started.wait, 5)
        request.cancel()
        await asyncio.wait([request])
        assert request.cancelled()
        assert not source.is_open
    finally:
        release.set()


@pytest.mark.anyio
async def test_a_request_that_stops_half_way_leaves_no_async_generator_behind(
    voice_activity: VoiceActivityFilter,
) -> None:
    left_behind: list[str] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=lambda generator: left_behind.append(repr(generator)))
    try:
        async with voice_activity.only_speech(BlockSource()) as pcm:
            await anext(aiter(pcm))
        del pcm
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert [name for name in left_behind if "BlockSource" not in name] == []
