"""Token alignment by OpenAI's method: cross-attention to alignment weights, dynamic time warping to token times.

The attention of each alignment head is standardised over the tokens and median filtered over the positions. Dynamic
time warping finds the monotone path with the greatest sum of the mean over the heads.
"""

from __future__ import annotations

import numpy as np

from asr_api.engines.whisper.arrays import Floats, Integers

# Costs are rounded to multiples of 1 / this, so that their sums are exact in any order of addition: standardised
# weights are below sqrt(n_text_ctx) = 22 and a path has fewer than 2000 cells, so sums stay far below 2^53.
STEPS_PER_UNIT = 2.0**24
# A deviation below this share of the mean is rounding noise: the tokens attend alike.
NOISE_SHARE = np.float32(1e-5)


def alignment_weights(attention: Floats, first_row: int, num_rows: int) -> Floats:
    """Standardised attention of `num_rows` tokens from `first_row` on, mean over the heads.

    attention: (n_heads, n_tokens, n_positions) float32, >= 0: all tokens that were fed, positions inside the audio
    """
    shares = attention / np.maximum(attention.sum(axis=-1, keepdims=True), np.finfo(np.float32).tiny)
    mean = shares.mean(axis=1, keepdims=True)  # (n_heads, 1, n_positions)
    noise = NOISE_SHARE * mean + np.finfo(np.float32).tiny
    deviation = np.maximum(shares.std(axis=1, keepdims=True), noise)
    weights = np.zeros((num_rows, attention.shape[-1]), np.float32)
    for head in range(len(shares)):  # one head at a time stays in the processor's cache
        rows = shares[head, first_row : first_row + num_rows]
        weights += median_filter((rows - mean[head]) / deviation[head])
    weights /= len(shares)
    return weights


def median_filter(rows: Floats) -> Floats:
    """Median of each value and its three neighbours on either side; rows are mirrored at their ends.

    rows: (n_rows, n_positions); rows too short to be mirrored are returned unchanged, as in OpenAI's code
    """
    if rows.shape[-1] <= 3:
        return rows
    padded = np.pad(rows, ((0, 0), (3, 3)), mode="reflect")
    # The seven values are a sorted triple, the middle one and a sorted triple; each sorted triple serves two positions.
    low, high = np.minimum(padded[:, :-2], padded[:, 1:-1]), np.maximum(padded[:, :-2], padded[:, 1:-1])
    inner = np.minimum(high, padded[:, 2:])
    first, second, third = np.minimum(low, inner), np.maximum(low, inner), np.maximum(high, padded[:, 2:])
    a1, a2, a3 = first[:, :-4], second[:, :-4], third[:, :-4]
    b1, b2, b3 = first[:, 4:], second[:, 4:], third[:, 4:]
    third_of_six = np.minimum(np.minimum(a3, b3), np.minimum(np.maximum(a1, b2), np.maximum(a2, b1)))
    fourth_of_six = np.minimum(np.maximum(a2, b2), np.minimum(np.maximum(a1, b3), np.maximum(a3, b1)))
    middle: Floats = np.maximum(third_of_six, np.minimum(rows, fourth_of_six))
    return middle


def dtw_row_starts(cost: Floats) -> Integers:
    """Dynamic time warping: the column in which the cheapest path from corner to corner enters each row; 0 first.

    A path steps right, down, or both at once. Ties prefer the step right, then the diagonal step. Costs are finite.
    """
    n_rows, n_columns = cost.shape
    steps = np.rint(cost * STEPS_PER_UNIT, dtype=np.float64)
    along = np.zeros((n_rows, n_columns + 1))  # cumulative cost of a row up to a column
    np.cumsum(steps, axis=1, out=along[:, 1:])
    totals = np.full((n_rows + 1, n_columns + 1), np.inf)
    totals[0, 0] = 0.0
    for row in range(n_rows):
        # A path that enters the row in a column and stays in the row pays the difference of cumulative costs. So the
        # running minimum over all entry columns replaces the usual inner loop.
        entered = np.minimum(totals[row, :-1], totals[row, 1:])
        entered -= along[row, :-1]
        np.minimum.accumulate(entered, out=entered)
        np.add(entered, along[row, 1:], out=totals[row + 1, 1:])
    above_left, above, left = totals[:-1, :-1], totals[:-1, 1:], totals[1:, :-1]
    is_entry = np.minimum(above_left, above) < left
    is_diagonal = is_entry & (above_left <= above)
    entries = np.maximum.accumulate(np.where(is_entry, np.arange(n_columns), 0), axis=1)
    starts = np.zeros(n_rows, np.int64)
    column = n_columns - 1
    for row in reversed(range(1, n_rows)):
        starts[row] = column = entries[row, column]
        column -= is_diagonal[row, column]
    return starts
