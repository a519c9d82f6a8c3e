"""Window cutter: every sample is in a window, cuts lie in pauses, and block sizes change nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio.window_cutter import Window, WindowCutter, is_silent
from asr_api.pcm import SAMPLE_RATE_HZ as RATE_HZ
from asr_api.pcm import Pcm

WINDOW_S, STRIDE_S = 3.0, 0.5  # small, so that the tests are fast; pauses have their usual lengths


def cut_up(pcm: Pcm, block: int = 4_000, window_s: float = WINDOW_S, stride_s: float = STRIDE_S) -> list[Window]:
    """block: samples that are pushed at once"""
    cutter = WindowCutter(window_s, stride_s)
    windows = [window for start in range(0, len(pcm), block) for window in cutter.push(pcm[start : start + block])]
    return windows + cutter.finish()


def speech(words_s: list[float], pauses_s: list[float], seed: int = 0, level: float = 8_000.0) -> Pcm:
    """Bursts of noise that swell like syllables, and digital silence between them."""
    rng = np.random.default_rng(seed)
    parts = []
    for word_s, pause_s in zip(words_s, pauses_s, strict=True):
        time_s = np.arange(round(word_s * RATE_HZ)) / RATE_HZ
        parts += [rng.normal(0, level, len(time_s)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s))]
        parts += [np.zeros(round(pause_s * RATE_HZ))]
    return np.clip(np.concatenate(parts), -32768, 32767).astype(np.int16)


def noise(length_s: float, level: float, seed: int = 1) -> Pcm:
    return np.random.default_rng(seed).normal(0, level, round(length_s * RATE_HZ)).astype(np.int16)


def check_bookkeeping(pcm: Pcm, windows: list[Window]) -> None:
    """Asserts order, lengths, overlaps and contents; together they imply that no sample is missing."""
    assert [window.span.index for window in windows] == list(range(len(windows)))
    for window in windows:
        start = window.span.start_ms * 16
        assert 0 < len(window.pcm) <= WINDOW_S * RATE_HZ
        assert np.array_equal(window.pcm, pcm[start : start + len(window.pcm)])
        assert window.span.end_ms == -(-(start + len(window.pcm)) // 16)
    for window, following in pairwise(windows):
        assert following.span.start_ms == window.span.end_ms - window.span.overlap_after_ms
        assert following.span.overlap_before_ms == window.span.overlap_after_ms
        assert window.span.overlap_after_ms in {0, STRIDE_S * 1000}
        assert window.span.overlap_after_ms == 0 or len(window.pcm) == WINDOW_S * RATE_HZ
    if windows:
        assert windows[0].span.start_ms == windows[0].span.overlap_before_ms == windows[-1].span.overlap_after_ms == 0
        assert windows[-1].span.start_ms * 16 + len(windows[-1].pcm) == len(pcm)
    assert bool(windows) == bool(len(pcm))


def check_silence_around_cuts(pcm: Pcm, windows: list[Window]) -> None:
    for window in windows[:-1]:
        cut = window.span.end_ms * 16
        assert not pcm[cut - 800 : cut + 800].any()  # 50 ms on both sides


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.05, 2.0), st.floats(0.0, 0.5)), max_size=25),
    st.integers(0, 159),
    st.integers(1, 200_000),
    st.integers(0, 3_000),
)
def test_every_sample_is_in_a_window(words: list[tuple[float, float]], odd_samples: int, block: int, bed: int) -> None:
    pcm = speech([0.1, *(w for w, _ in words)], [0.1, *(p for _, p in words)])[odd_samples:]
    pcm = np.clip(pcm + noise(len(pcm) / RATE_HZ, bed), -32768, 32767).astype(np.int16)
    windows = cut_up(pcm, block)
    check_bookkeeping(pcm, windows)
    at_once = cut_up(pcm, max(1, len(pcm)))
    assert [window.span for window in windows] == [window.span for window in at_once]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 0.4), st.floats(0.2, 0.6)), min_size=20, max_size=40))
def test_cuts_lie_in_pauses_where_there_are_any(words: list[tuple[float, float]]) -> None:
    pcm = speech([w for w, _ in words], [p for _, p in words])
    windows = cut_up(pcm, window_s=6.0, stride_s=1.5)
    assert {window.span.overlap_after_ms for window in windows} == {0}
    check_silence_around_cuts(pcm, windows)


def test_a_long_pause_is_preferred_to_the_closure_of_a_consonant() -> None:
    pcm = speech([2.55, 0.2, 2.0], [0.2, 0.09, 0.1])
    assert cut_up(pcm)[0].span.end_ms == pytest.approx(2_650, abs=30)


def test_a_clear_dip_over_a_noise_bed_is_a_pause() -> None:
    pcm = speech([2.5, 2.0], [0.4, 0.0]) + noise(4.9, 800)
    first, second = (window.span for window in cut_up(pcm))
    assert (first.overlap_after_ms, second.start_ms) == (0, pytest.approx(2_700, abs=150))


def test_without_pauses_windows_have_full_length_and_overlap() -> None:
    spans = [(window.span.start_ms, window.span.end_ms) for window in cut_up(noise(10.0, 5_000))]
    assert spans == [(0, 3_000), (2_500, 5_500), (5_000, 8_000), (7_500, 10_000)]


def test_soft_speech_after_a_loud_jingle_is_no_pause() -> None:
    soft = speech([0.3] * 20, [0.2] * 20, level=300.0)
    pcm = np.concatenate([noise(4.0, 12_000), soft])
    check_silence_around_cuts(pcm, cut_up(pcm, window_s=8.0, stride_s=2.0))


def test_hiss_after_speech_is_a_pause() -> None:
    pcm = np.concatenate([speech([0.5] * 10, [0.0] * 10), noise(10.0, 100)])
    assert {window.span.overlap_after_ms for window in cut_up(pcm, window_s=8.0, stride_s=2.0)} == {0}


def test_the_last_window_is_not_tiny() -> None:
    pcm = speech([0.4] * 8, [0.2] * 7 + [0.0])[: round(3.1 * RATE_HZ)]
    windows = cut_up(pcm)
    check_bookkeeping(pcm, windows)
    assert [len(window.pcm) > 0.5 * RATE_HZ for window in windows] == [True, True]


def test_a_window_does_not_share_memory_with_the_buffer() -> None:
    pcm = noise(20.0, 5_000)
    cutter = WindowCutter(WINDOW_S, STRIDE_S)
    windows = cutter.push(block := pcm.copy())
    block[:] = 0
    cutter.push(np.zeros(48_000, np.int16))
    assert all(np.array_equal(window.pcm, pcm[window.span.start_ms * 16 :][:48_000]) for window in windows)


@pytest.mark.parametrize(("window_s", "stride_s"), [(30.0, 0.0), (30.0, 16.0), (0.0, 0.0), (30.0, -1.0)])
def test_impossible_strides_are_refused(window_s: float, stride_s: float) -> None:
    with pytest.raises(ValueError, match="stride"):
        WindowCutter(window_s, stride_s)


@pytest.mark.parametrize(
    ("pcm", "silent"),
    [
        pytest.param(np.zeros(16_000, np.int16), True, id="digital"),
        pytest.param(np.full(16_000, -9_000, np.int16), True, id="offset"),
        pytest.param(np.random.default_rng(0).integers(-3, 4, 16_000).astype(np.int16), True, id="dither"),
        pytest.param(noise(1.0, 30), False, id="soft"),
        pytest.param(np.array([0] * 999 + [200], np.int16), False, id="one click"),
        pytest.param(np.zeros(0, np.int16), True, id="nothing"),
    ],
)
def test_is_silent(pcm: Pcm, silent: bool) -> None:
    assert is_silent(pcm) is silent
