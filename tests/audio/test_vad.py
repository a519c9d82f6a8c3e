"""What is muted and what stays, with a detector that a test can see through, and with the real one on real speech."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio import vad
from asr_api.audio.vad import CHUNK_SAMPLES, MARGIN_CHUNKS, MIN_PAUSE_CHUNKS, MIN_SPEECH_CHUNKS, SpeechGate
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

VOICE, MURMUR, NOISE = 1000, 500, 10  # loudness of a chunk → 0.9, 0.4 and 0.1


def probability(chunk: bytes) -> float:
    return {VOICE: 0.9, MURMUR: 0.4}.get(int(np.frombuffer(chunk, np.int16)[0]), 0.1)


def sound(*levels: tuple[int, int]) -> Pcm:
    """(level, number of chunks), …"""
    return np.concatenate([np.full(count * CHUNK_SAMPLES, level, np.int16) for level, count in levels])


def gated(pcm: Pcm, *cuts: int) -> Pcm:
    gate = SpeechGate(probability)
    blocks = np.split(pcm, sorted(cuts))
    return np.concatenate([*(gate.push(block) for block in blocks), gate.finish()])


def test_speech_stays_with_a_margin_and_all_else_is_muted_in_its_place() -> None:
    pcm = sound((NOISE, 100), (VOICE, 10), (NOISE, 100))
    kept = np.flatnonzero(gated(pcm))
    assert kept[0] == (100 - MARGIN_CHUNKS) * CHUNK_SAMPLES
    assert kept[-1] + 1 == (110 + MARGIN_CHUNKS) * CHUNK_SAMPLES
    assert np.array_equal(gated(pcm)[kept], pcm[kept])
    assert len(kept) == kept[-1] + 1 - kept[0]
    assert not gated(sound((NOISE, 90))).any()
    for count in (1, MIN_SPEECH_CHUNKS - 1):
        assert not gated(sound((NOISE, 50), (VOICE, count), (NOISE, 50), (VOICE, count))).any()


def test_short_pauses_and_fading_speech_stay() -> None:
    pause = sound((VOICE, 8), (NOISE, MIN_PAUSE_CHUNKS), (VOICE, 8))
    assert np.array_equal(gated(pause), pause)
    longer = gated(sound((VOICE, 8), (NOISE, MIN_PAUSE_CHUNKS + 1), (VOICE, 8)))
    assert np.count_nonzero(longer) == (16 + 2 * MARGIN_CHUNKS) * CHUNK_SAMPLES
    fading = sound((VOICE, 1), (MURMUR, 100))
    assert np.array_equal(gated(fading), fading)
    assert not gated(sound((MURMUR, 100))).any(), "it takes more to begin than to go on"


@given(
    st.lists(st.tuples(st.sampled_from([VOICE, MURMUR, NOISE]), st.integers(1, 80)), max_size=8),
    st.integers(0, CHUNK_SAMPLES - 1),
    st.lists(st.integers(0, 60_000), max_size=6),
)
@settings(max_examples=50, deadline=None)
def test_nothing_moves_however_it_is_split(levels: list[tuple[int, int]], extra: int, cuts: list[int]) -> None:
    pcm = sound(*levels, (VOICE, 1))
    pcm = np.concatenate((pcm, np.full(extra, NOISE, np.int16)))
    whole = gated(pcm)
    assert len(whole) == len(pcm)
    assert np.all((whole == pcm) | (whole == 0))
    assert np.array_equal(gated(pcm, *(cut for cut in cuts if cut < len(pcm))), whole)


def test_it_holds_two_seconds() -> None:
    gate = SpeechGate(probability)
    held = []
    for number in range(300):
        gate.push(sound((VOICE if number in {9, 10} else NOISE, 3)))
        held.append(sum(map(len, gate._waiting)) + len(gate._rest))
    assert max(held) <= 2.4 * SAMPLE_RATE_HZ


@pytest.mark.skipif(not vad.is_installed(), reason="asr-api[vad] is not installed")
def test_the_real_model_takes_noise_and_tones_for_no_speech() -> None:
    times_s = np.arange(4 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    chord = np.sin(2 * np.pi * np.outer([220, 277, 330, 440], times_s)).sum(0) * 3000
    noise = np.random.default_rng(1).normal(size=len(times_s)) * 3000
    for pcm in (chord, noise):
        gate = SpeechGate(vad.open_detector())
        assert not np.concatenate((gate.push(pcm.astype(np.int16)), gate.finish())).any()
