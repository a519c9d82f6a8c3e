"""Speech activity: how likely, how long and where there is speech between two times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio.levels import frame_levels_db, speech_level_db
from asr_api.audio.vad.speech_activity import (
    CHUNK_MS,
    CHUNK_SAMPLES,
    STANDARD_LEVEL_DB,
    Floats,
    SpeechActivity,
    speech_probabilities,
)
from asr_api.pcm import SAMPLES_PER_MS, Pcm
from tests.speech_activities import LOUD, PAUSE, SPEECH, ConstantDetector, activity, noise


def of_chunks(*probabilities: float) -> SpeechActivity:
    """Loud, so that there is no second look."""
    pcm = noise(len(probabilities) * CHUNK_MS / 1000, LOUD)
    return SpeechActivity(pcm, np.array(probabilities, np.float32), lambda: ConstantDetector(1.0))


def test_the_strongest_speech_is_the_likeliest_third_of_a_second() -> None:
    word = of_chunks(*[0.0] * 20, *[0.9] * 9, *[0.0] * 20)
    assert word.strongest(0, 49 * CHUNK_MS) == pytest.approx(0.9)
    click = of_chunks(*[0.0] * 20, *[0.9] * 3, *[0.0] * 20)
    assert click.strongest(0, 43 * CHUNK_MS) == pytest.approx(0.3)
    assert word.strongest(0, 20 * CHUNK_MS) == 0.0
    assert word.strongest(19 * CHUNK_MS, 21 * CHUNK_MS) == pytest.approx(0.45)  # all of a shorter stretch


def test_chunks_at_the_edges_count() -> None:
    one = of_chunks(0.0, 0.8, 0.0)
    for start_ms, end_ms in [(CHUNK_MS, 2 * CHUNK_MS), (CHUNK_MS + 1, CHUNK_MS + 2), (2 * CHUNK_MS - 1, 2 * CHUNK_MS)]:
        assert one.strongest(start_ms, end_ms) == pytest.approx(0.8)
        assert one.speech_ms(start_ms, end_ms) == CHUNK_MS
    assert one.speech_ms(0, CHUNK_MS) == one.speech_ms(2 * CHUNK_MS, 3 * CHUNK_MS) == 0


def test_times_outside_count_as_the_bounds() -> None:
    speech = of_chunks(*[0.8] * 10)
    assert speech.strongest(-5_000, 60_000) == pytest.approx(0.8)
    assert speech.speech_ms(-5_000, 60_000) == 10 * CHUNK_MS
    assert speech.speech_bounds_ms(-5_000, 60_000) == (0, 10 * CHUNK_MS)
    for start_ms, end_ms in [(320, 320), (400, 900), (-900, -300), (-900, 0), (200, 100)]:
        assert speech.strongest(start_ms, end_ms) == 0.0
        assert speech.speech_ms(start_ms, end_ms) == 0
        assert speech.speech_bounds_ms(start_ms, end_ms) is None


def test_nothing_has_no_speech() -> None:
    empty = SpeechActivity(np.zeros(0, np.int16), np.zeros(0, np.float32), lambda: ConstantDetector(1.0))
    assert (empty.strongest(0, 100), empty.speech_ms(0, 100)) == (0.0, 0)
    assert empty.speech_bounds_ms(0, 100) is None


def test_bounds_of_speech_are_inside_the_times() -> None:
    speech = activity((PAUSE, 3.2), (SPEECH, 1.6), (PAUSE, 1.6), (SPEECH, 0.32), (PAUSE, 1.6))
    assert speech.speech_bounds_ms(0, 9_000) == (3_200, 6_720)
    assert speech.speech_bounds_ms(1_000, 4_010) == (3_200, 4_010)
    assert speech.speech_bounds_ms(3_333, 5_000) == (3_333, 4_800)
    assert speech.speech_bounds_ms(0, 3_200) is None


# -- quiet speech --------------------------------------------------------------------------------------------------


def test_a_quiet_stretch_is_looked_at_once_more_at_a_standard_level() -> None:
    detector = ConstantDetector(0.7)
    quiet = SpeechActivity(noise(2.0, 50), np.full(63, 0.1, np.float32), lambda: detector)
    assert quiet.strongest(500, 1_500) == pytest.approx(0.7)
    assert detector.pcm is not None
    assert len(detector.pcm) == 32 * CHUNK_SAMPLES  # 1 s, filled up
    amplified = speech_level_db(frame_levels_db(detector.pcm[: 1_000 * SAMPLES_PER_MS]))
    assert amplified == pytest.approx(STANDARD_LEVEL_DB, abs=0.5)


def test_a_second_look_takes_nothing_away() -> None:
    assert activity((0.3, 2.0), amplified=0.1).strongest(0, 2_000) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("pcm", "probability"),
    [
        pytest.param(noise(2.0, LOUD), 0.1, id="loud enough"),
        pytest.param(noise(0.09, 50), 0.1, id="too short to tell"),
        pytest.param(noise(2.0, 50), 0.5, id="speech already"),
    ],
)
def test_there_is_no_second_look_without_need(pcm: Pcm, probability: float) -> None:
    probabilities = np.full(-(-len(pcm) // CHUNK_SAMPLES), probability, np.float32)
    quiet = SpeechActivity(pcm, probabilities, lambda: ConstantDetector(1.0))
    assert quiet.strongest(0, 2_000) == pytest.approx(probability)


@pytest.mark.parametrize("start_ms", [-1_500, -1, 0])
def test_a_second_look_before_the_beginning_is_at_the_beginning(start_ms: int) -> None:
    assert activity((0.1, 2.0), amplified=0.7).strongest(start_ms, 1_000) == pytest.approx(0.7)


def test_amplified_sound_never_wraps_around() -> None:
    detector = ConstantDetector(0.0)
    pcm = noise(3.0, 20)
    pcm[20_000:20_002] = -32768, 32767
    SpeechActivity(pcm, np.zeros(94, np.float32), lambda: detector).strongest(0, 3_000)
    assert detector.pcm is not None
    assert detector.pcm[20_000] == -32768
    assert detector.pcm[20_001] == 32767


def test_digital_silence_stays_silent() -> None:
    detector = ConstantDetector(0.0)
    silence = SpeechActivity(np.zeros(16_000, np.int16), np.zeros(32, np.float32), lambda: detector)
    assert silence.strongest(0, 1_000) == 0.0
    assert detector.pcm is not None
    assert not detector.pcm.any()


# -- chunks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "n_chunks"), [(0, 0), (1, 1), (511, 1), (512, 1), (513, 2), (1_600, 4)])
def test_the_last_chunk_is_filled_up_with_silence(length: int, n_chunks: int) -> None:
    detector = ConstantDetector(0.5)
    probabilities: Floats = speech_probabilities(detector, np.full(length, -32768, np.int16))
    assert probabilities.shape == (n_chunks,)
    assert probabilities.dtype == np.float32
    if detector.pcm is not None:
        assert np.count_nonzero(detector.pcm) == length


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), max_size=40), st.integers(-200, 1_500), st.integers(-200, 1_500))
def test_any_times_are_allowed(chunks: list[float], start_ms: int, end_ms: int) -> None:
    some, (start_ms, end_ms) = of_chunks(*chunks), sorted((start_ms, end_ms))
    assert 0 <= some.strongest(start_ms, end_ms) <= 1.0001
    assert 0 <= some.speech_ms(start_ms, end_ms) <= len(chunks) * CHUNK_MS
    bounds = some.speech_bounds_ms(start_ms, end_ms)
    if bounds is not None:
        assert max(0, start_ms) <= bounds[0] <= bounds[1] <= min(end_ms, len(chunks) * CHUNK_MS)


def test_sounds_that_are_like_speech_for_a_moment_are_no_speech() -> None:
    music = [0.9, 0.9, *[0.1] * 20] * 10
    found = of_chunks(*music, 0.4, 0.4, *[0.9] * 30, *[0.1] * 8)
    assert found.speech_bounds_ms(0, 260 * CHUNK_MS) == (220 * CHUNK_MS, 252 * CHUNK_MS)
