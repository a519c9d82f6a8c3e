"""Piece cutter: every sample is in one piece, cuts lie in pauses, and neither blocks nor silence change the pieces."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio.piece_cutter import BLOCK_SAMPLES, POSITION_SAMPLES, Piece, PieceCutter, PieceLength, quietest_chunk
from asr_api.audio.vad.speech_activity import CHUNK_MS, CHUNK_SAMPLES, Floats
from asr_api.pcm import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Pcm
from tests.loudness_detector import LoudnessDetector

SHORT = PieceLength(3.0, 6.0)  # so that the tests are fast; pauses have their usual lengths


def cut_up(pcm: Pcm, *, length: PieceLength = SHORT, block: int = 4_000) -> list[Piece]:
    """block: samples that are pushed at once"""
    cutter = PieceCutter(length, LoudnessDetector)
    pieces = [piece for start in range(0, len(pcm), block) for piece in cutter.push(pcm[start : start + block])]
    return pieces + cutter.finish()


def noise(length_s: float, level: float, seed: int = 1) -> Pcm:
    samples = np.random.default_rng(seed).normal(0, level, round(length_s * SAMPLE_RATE_HZ))
    return np.clip(samples, -32768, 32767).astype(np.int16)


def speech(*words: tuple[float, float], level: float = 4_000.0) -> Pcm:
    """(seconds of sound, seconds of silence), …"""
    parts = []
    for seed, (word_s, pause_s) in enumerate(words):
        parts += [noise(word_s, level, seed), np.zeros(round(pause_s * SAMPLE_RATE_HZ), np.int16)]
    return np.concatenate(parts)


def num_silent(pcm: Pcm) -> int:
    """Samples before the first sound, in whole positions of 20 ms."""
    is_sound = np.abs(pcm.astype(np.int32)) > 16
    return int(is_sound.argmax()) // POSITION_SAMPLES * POSITION_SAMPLES if is_sound.any() else len(pcm)


def check_bookkeeping(pcm: Pcm, pieces: list[Piece], length: PieceLength = SHORT) -> None:
    assert [piece.index for piece in pieces] == list(range(len(pieces)))
    first = num_silent(pcm)
    assert pieces[0].start_ms == -(-first // SAMPLES_PER_MS)
    assert np.array_equal(np.concatenate([piece.pcm for piece in pieces]), pcm[first:])
    for piece in pieces:
        assert len(piece.activity.probabilities) == -(-len(piece.pcm) // CHUNK_SAMPLES)
        assert len(piece.pcm) <= max(2 * CHUNK_SAMPLES, length.max_s * SAMPLE_RATE_HZ)
    for piece, following in pairwise(pieces):
        assert following.start_ms == piece.end_ms
        assert len(piece.pcm) % CHUNK_SAMPLES == 0
        assert len(piece.pcm) > 0
    assert abs(pieces[-1].end_ms - len(pcm) / SAMPLES_PER_MS) <= 1


def check_lengths(pieces: list[Piece], length: PieceLength) -> None:
    """Those before the last two are full; the last two share what is left, or the range of the last cut is left."""
    for piece in pieces[:-2]:
        assert len(piece.pcm) >= length.min_s * SAMPLE_RATE_HZ - 2 * CHUNK_SAMPLES
    if len(pieces) > 1:
        last_two = [len(piece.pcm) for piece in pieces[-2:]]
        assert (
            min(last_two) >= min(sum(last_two) / 3, (length.max_s - length.min_s) * SAMPLE_RATE_HZ) - 2 * CHUNK_SAMPLES
        )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.05, 4.0), st.floats(0.0, 2.0)), max_size=15),
    st.integers(0, 159),
    st.integers(1, 200_000),
    st.integers(0, 3_000),
    st.floats(0.0, 2.0),
)
def test_every_sample_from_the_first_sound_on_is_in_one_piece(
    words: list[tuple[float, float]], odd_samples: int, block: int, hum: int, silence_s: float
) -> None:
    pcm = speech((0.1, 0.1), *words)[odd_samples:]
    pcm = np.clip(pcm + noise(len(pcm) / SAMPLE_RATE_HZ, hum)[: len(pcm)].astype(np.int32), -32768, 32767)
    pcm = np.concatenate((np.zeros(round(silence_s * SAMPLE_RATE_HZ)), pcm)).astype(np.int16)
    pieces = cut_up(pcm, block=max(block, 1_000))
    check_bookkeeping(pcm, pieces)
    check_lengths(pieces, SHORT)
    assert_equal(pieces, cut_up(pcm, block=max(1, len(pcm))))


def assert_equal(pieces: list[Piece], others: list[Piece], offset_ms: int = 0) -> None:
    assert [piece.start_ms + offset_ms for piece in pieces] == [other.start_ms for other in others]
    for piece, other in zip(pieces, others, strict=True):
        assert np.array_equal(piece.pcm, other.pcm)
        assert np.array_equal(piece.activity.probabilities, other.activity.probabilities)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.02, 3.0), st.floats(0.01, 0.99), st.floats(0.0, 14.0), st.integers(1, 100_000))
def test_pieces_of_any_length_are_possible(max_s: float, share: float, length_s: float, block: int) -> None:
    length = PieceLength(share * max_s, max_s)
    pcm = noise(length_s, 2_000)
    pieces = cut_up(pcm, length=length, block=max(block, 500))
    check_bookkeeping(pcm, pieces, length)
    check_lengths(pieces, length)
    assert_equal(pieces, cut_up(pcm, length=length, block=max(1, len(pcm))))


def test_pieces_of_conversations_have_their_lengths() -> None:
    rng = np.random.default_rng(5)
    pcm = speech(*zip(rng.uniform(0.3, 9, 50), rng.uniform(0, 1, 50), strict=True))
    for length in (PieceLength(18.0, 30.0), PieceLength(45.0, 84.0)):
        pieces = cut_up(pcm, length=length, block=16_000)
        check_bookkeeping(pcm, pieces, length)
        check_lengths(pieces, length)
        assert len(pieces) > 2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.3, 1.5), st.floats(0.4, 0.8)), min_size=12, max_size=24))
def test_cuts_lie_in_pauses_where_there_are_any(words: list[tuple[float, float]]) -> None:
    pcm = speech(*words)
    for piece in cut_up(pcm)[:-1]:
        cut = piece.end_ms * SAMPLES_PER_MS
        assert not pcm[cut - 800 : cut + 800].any()  # 50 ms on both sides


def test_a_cut_lies_where_nobody_speaks_rather_than_where_it_is_quieter() -> None:
    """Soft speech is no pause, and a noise that nobody makes with the mouth is one."""
    n_chunks = 10_000 // CHUNK_MS
    pcm, probabilities = noise(10.0, 1_000), np.ones(n_chunks, np.float32)
    pcm[3 * SAMPLE_RATE_HZ : 4 * SAMPLE_RATE_HZ] //= 20
    probabilities[6_000 // CHUNK_MS : 7_000 // CHUNK_MS] = 0.01
    assert 6_100 <= CHUNK_MS * quietest_chunk(pcm, probabilities, 60, 280) <= 6_900
    assert 3_100 <= CHUNK_MS * quietest_chunk(pcm, np.ones_like(probabilities), 60, 280) <= 3_900


@pytest.mark.parametrize("earliest", [0, 40, 98])
def test_a_cut_is_inside_its_bounds_also_at_the_end_of_the_audio(earliest: int) -> None:
    pcm: Pcm = noise(3.2, 1_000)[: 99 * CHUNK_SAMPLES + 7]
    probabilities: Floats = np.linspace(1, 0, 100, dtype=np.float32)
    assert earliest <= quietest_chunk(pcm, probabilities, earliest, 100) <= 100


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 20), st.integers(0, 31), st.integers(1_000, 200_000))
def test_silence_before_the_first_sound_only_shifts_times(seconds: int, odd_positions: int, block: int) -> None:
    pcm = speech((1.0, 0.5), (5.0, 0.3), (4.0, 1.0), (2.0, 0.1))
    offset_ms = 1000 * seconds + 20 * odd_positions
    delayed = np.concatenate((np.zeros(offset_ms * SAMPLES_PER_MS, np.int16), pcm))
    assert_equal(cut_up(pcm), cut_up(delayed, block=block), offset_ms)


def test_ten_seconds_of_dither_before_the_first_sound_only_shift_times() -> None:
    pcm = speech((1.0, 0.5), (5.0, 0.3), (4.0, 1.0))
    dither = np.random.default_rng(0).integers(-16, 17, 10 * SAMPLE_RATE_HZ).astype(np.int16)
    assert_equal(cut_up(pcm), cut_up(np.concatenate((dither, pcm))), 10_000)


@pytest.mark.parametrize("length", [0, 16, 1_600, BLOCK_SAMPLES, 40 * SAMPLE_RATE_HZ])
def test_a_recording_of_silence_is_one_piece_without_audio(length: int) -> None:
    (piece,) = cut_up(np.zeros(length, np.int16))
    assert (len(piece.pcm), piece.length_ms) == (0, 0)
    assert piece.start_ms == piece.end_ms == -(-length // SAMPLES_PER_MS)


@pytest.mark.parametrize("length", [1, 15, 16, 17, CHUNK_SAMPLES, 1_600])
def test_a_very_short_recording_is_one_piece(length: int) -> None:
    (piece,) = cut_up(np.full(length, -32768, np.int16))
    assert len(piece.pcm) == length
    assert piece.end_ms == -(-length // SAMPLES_PER_MS)


def test_a_long_block_is_cut_as_it_is_read() -> None:
    """What is kept is bounded, so that an hour in one block takes no more work than in many."""
    cutter = PieceCutter(SHORT, LoudnessDetector)
    assert len(cutter.push(noise(60.0, 2_000))) >= 7
    assert len(cutter._pcm) < 2 * 6 * SAMPLE_RATE_HZ


def test_a_piece_does_not_share_memory_with_the_blocks() -> None:
    pcm = noise(20.0, 5_000)
    cutter = PieceCutter(SHORT, LoudnessDetector)
    pieces = cutter.push(block := pcm.copy())
    block[:] = 0
    assert all(np.array_equal(p.pcm, pcm[p.start_ms * SAMPLES_PER_MS :][: len(p.pcm)]) for p in pieces)


def test_only_a_block_that_fills_the_buffer_is_work() -> None:
    cutter = PieceCutter(SHORT, LoudnessDetector)
    assert not cutter.is_due(BLOCK_SAMPLES - 1)
    cutter.push(noise(1.0, 1_000))
    assert cutter.is_due(BLOCK_SAMPLES - SAMPLE_RATE_HZ)
    assert not cutter.is_due(BLOCK_SAMPLES - SAMPLE_RATE_HZ - 1)


@pytest.mark.parametrize(("min_s", "max_s"), [(0.0, 30.0), (-1.0, 30.0), (30.0, 30.0), (30.0, 18.0), (0.0, 0.0)])
def test_impossible_lengths_are_refused(min_s: float, max_s: float) -> None:
    with pytest.raises(ValueError, match="not possible"):
        PieceCutter(PieceLength(min_s, max_s), LoudnessDetector)
