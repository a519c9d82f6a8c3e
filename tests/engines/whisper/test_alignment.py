"""Median filter and dynamic time warping equal their plain implementations, value by value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asr_api.engines.whisper.alignment import STEPS_PER_UNIT, alignment_weights, dtw_row_starts, median_filter
from asr_api.engines.whisper.arrays import Floats


def plain_row_starts(cost: Floats) -> list[int]:
    """Textbook dynamic time warping: cell by cell, then back from the last corner."""
    n_rows, n_columns = cost.shape
    total = {(-1, -1): 0.0}
    for row in range(n_rows):
        for column in range(n_columns):
            before = [(row, column - 1), (row - 1, column - 1), (row - 1, column)]
            step = round(float(cost[row, column]) * STEPS_PER_UNIT)
            total[row, column] = step + min(total.get(cell, np.inf) for cell in before)
    starts, row, column = [0] * n_rows, n_rows - 1, n_columns - 1
    while row > 0:
        left, both, up = (row, column - 1), (row - 1, column - 1), (row - 1, column)
        best = min((left, both, up), key=lambda cell: total.get(cell, np.inf))  # the first of equals
        if best != left:
            starts[row] = column
        row, column = best
    return starts


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (40, 200), (30, 12)])
@pytest.mark.parametrize("decimals", [0, 7], ids=["many ties", "no ties"])
def test_dtw_equals_the_textbook(shape: tuple[int, int], decimals: int) -> None:
    random = np.random.default_rng(shape[0])
    for _ in range(3):
        cost = np.round(random.standard_normal(shape), decimals).astype(np.float32)
        assert dtw_row_starts(cost).tolist() == plain_row_starts(cost)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 30)), elements=st.floats(-9, 9, width=32)))
def test_median_filter(rows: Floats) -> None:
    expected = rows
    if rows.shape[1] > 3:
        padded = np.pad(rows, ((0, 0), (3, 3)), mode="reflect")
        expected = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7, axis=1), axis=-1)
    assert np.array_equal(median_filter(rows), expected)


def test_uninformative_heads() -> None:
    """Heads that are uniform, stuck at one position or zero (masked) leave the decision to the others."""
    following = np.full((6, 60), 0.001, np.float32)
    for row in range(6):
        following[row, 10 * row : 10 * row + 10] = 0.1
    constant, zero = np.full((6, 60), 1 / 60, np.float32), np.zeros((6, 60), np.float32)
    stuck = np.tile(np.eye(1, 60, 30, dtype=np.float32), (6, 1))
    attention = np.stack([following, constant, stuck, zero])
    assert dtw_row_starts(-alignment_weights(attention, 1, 5)).tolist() == [0, 20, 30, 40, 50]
