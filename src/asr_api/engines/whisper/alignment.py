"""Cross-attention of one window → where each token is said, by OpenAI's method.

Standardise over the tokens, take the median over neighbouring positions and the mean over the heads: that is how much
each token looks at each position. The way through it that sees most is found by dynamic time warping. Pure numpy;
knows nothing about words, texts or milliseconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

# Costs become multiples of this, so that their sums are exact in whatever order they are added up: standardised weights
# are below sqrt(n_text_ctx) = 22 and a path has fewer than 2000 cells, which leaves 2^53 far away.
STEPS_PER_UNIT = 2.0**24
# Tokens whose weights differ by less than this share look alike: what differs is rounding.
SAME = np.float32(1e-5)


def alignment_weights(attention: Floats, first_row: int, num_rows: int) -> Floats:
    """How much more than usual each of the rows `first_row` … alignment_weights at each position.

    attention: (n_heads, n_tokens, n_heard) float32, >= 0: all tokens that were fed, positions that were heard only
    returns:   (num_rows, n_heard) float32
    """
    shares = attention / np.maximum(attention.sum(axis=-1, keepdims=True), np.finfo(np.float32).tiny)
    mean = shares.mean(axis=1, keepdims=True)  # (n_heads, 1, n_heard)
    noise = SAME * mean + np.finfo(np.float32).tiny
    deviation = np.maximum(shares.std(axis=1, keepdims=True), noise)
    table = np.zeros((num_rows, attention.shape[-1]), np.float32)
    for head in range(len(shares)):  # one at a time stays in the processor's cache
        rows = shares[head, first_row : first_row + num_rows]
        table += median_filter((rows - mean[head]) / deviation[head])
    table /= len(shares)
    return table


def median_filter(rows: Floats) -> Floats:
    """Median of each value and its three neighbours to either side, the row mirrored at its ends.

    rows: (n_rows, n_positions); rows too short to be mirrored stay as they are, as in OpenAI's
    """
    if rows.shape[-1] <= 3:
        return rows
    padded = np.pad(rows, ((0, 0), (3, 3)), mode="reflect")
    # The seven are three sorted ones, the middle one and three sorted ones; every sorted three serves two places.
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

    A path steps right, down, or both at once. Where several ways are equally cheap, the one along the row is taken,
    then the one that does both.

    cost: (n_rows, n_columns) finite
    """
    n_rows, n_columns = cost.shape
    steps = np.rint(cost * STEPS_PER_UNIT, dtype=np.float64)
    along = np.zeros((n_rows, n_columns + 1))  # the cost of a row up to a column
    np.cumsum(steps, axis=1, out=along[:, 1:])
    totals = np.full((n_rows + 1, n_columns + 1), np.inf)
    totals[0, 0] = 0.0
    for row in range(n_rows):
        # Whoever enters the row in a column and stays in it pays the difference along the row: the running minimum
        # over all columns of entrance does the work of the usual inner loop.
        entered = np.minimum(totals[row, :-1], totals[row, 1:])
        entered -= along[row, :-1]
        np.minimum.accumulate(entered, out=entered)
        np.add(entered, along[row, 1:], out=totals[row + 1, 1:])
    above_left, above, left = totals[:-1, :-1], totals[:-1, 1:], totals[1:, :-1]
    is_entrance = np.minimum(above_left, above) < left
    is_diagonal = is_entrance & (above_left <= above)
    entrances = np.maximum.accumulate(np.where(is_entrance, np.arange(n_columns), 0), axis=1)
    starts = np.zeros(n_rows, np.int64)
    column = n_columns - 1
    for row in reversed(range(1, n_rows)):
        starts[row] = column = entrances[row, column]
        column -= is_diagonal[row, column]
    return starts
