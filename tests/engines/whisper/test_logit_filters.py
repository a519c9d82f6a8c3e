"""The vectorised filters against a plain implementation of OpenAI's description, one row at a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest

from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.logit_filters import LogitFilters, TokenHistory, log_sum_exp
from asr_api.engines.whisper.sampling import NextTokens, greedy
from asr_api.engines.whisper.token_kinds import TokenKinds
from tests.engines.whisper_checkpoints import SMALL

END, NO_TIMESTAMPS = SMALL.end, SMALL.special("notimestamps")
BEGIN = NO_TIMESTAMPS + 1
TIMESTAMPS = range(BEGIN, BEGIN + 1501)
NUM_ADDED = 3  # text tokens behind the timestamps
ADDED = TIMESTAMPS.stop + 1


def plain_next_token(logits: Sequence[float], row: Sequence[int], config: WhisperConfig) -> tuple[int, float]:
    """The best of the allowed tokens of one row, and its log-probability."""

    def is_allowed(token: int) -> bool:
        is_timestamp = token in TIMESTAMPS
        if token in config.suppress_tokens or token == NO_TIMESTAMPS:
            return False
        if not row:  # the first: a timestamp up to 1.0 s
            return is_timestamp and token <= BEGIN + 50
        ends_in_timestamp, before_is_timestamp = row[-1] in TIMESTAMPS, len(row) < 2 or row[-2] in TIMESTAMPS
        if ends_in_timestamp and before_is_timestamp and is_timestamp:  # opened: text follows
            return False
        is_text = token < END or token >= TIMESTAMPS.stop
        if ends_in_timestamp and not before_is_timestamp and is_text:  # closed: a timestamp or the end follows
            return False
        timestamps = [earlier for earlier in row if earlier in TIMESTAMPS]
        if is_timestamp and timestamps:
            return token >= timestamps[-1] + (0 if ends_in_timestamp and not before_is_timestamp else 1)
        return True

    allowed = [token for token in range(len(logits)) if is_allowed(token)]
    timestamps = [token for token in allowed if token in TIMESTAMPS]
    others = [token for token in allowed if token not in TIMESTAMPS]
    mass = sum(math.exp(logits[token]) for token in timestamps)
    if others and mass > max(math.exp(logits[token]) for token in others):
        allowed = timestamps
    best = max(allowed, key=lambda token: logits[token])
    return best, logits[best] - math.log(sum(math.exp(logits[token]) for token in allowed))


HISTORIES = [
    [],
    [BEGIN + 10],
    [BEGIN + 10, 5],
    [BEGIN + 10, 5, 6, 7],
    [BEGIN + 10, 5, BEGIN + 30],
    [BEGIN + 10, 5, BEGIN + 30, BEGIN + 30],
    [BEGIN + 10, 5, BEGIN + 30, BEGIN + 40, 8],
    [BEGIN, 5, BEGIN + 1500],
    [BEGIN, 5, BEGIN + 1500, BEGIN + 1500],
    [BEGIN, 5, BEGIN + 1500, BEGIN + 1500, 9],
    [BEGIN + 10, ADDED],
    [BEGIN + 10, 5, ADDED],
    [BEGIN + 10, ADDED, BEGIN + 30],
    [BEGIN + 10, ADDED, BEGIN + 30, BEGIN + 30, 8, ADDED],
]


def mask(
    config: WhisperConfig, logits: Floats, rows: Sequence[Sequence[int]], has_timestamps: Sequence[bool] = ()
) -> Floats:
    """The masked logits; rows have timestamps by default."""
    masked = logits.copy()
    history = TokenHistory.of(rows, TIMESTAMPS, has_timestamps or [True] * len(rows))
    LogitFilters(config, TokenKinds(END, TIMESTAMPS)).mask(masked, history)
    return masked


def choose(config: WhisperConfig, logits: Floats, rows: Sequence[Sequence[int]]) -> NextTokens:
    return greedy(mask(config, logits, rows))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("timestamp_offset", [-6.0, -2.0, 0.0, 3.0])
@pytest.mark.parametrize("added_offset", [-9.0, 6.0])
def test_rows_equal_the_plain_implementation(
    config: WhisperConfig, seed: int, timestamp_offset: float, added_offset: float
) -> None:
    random = np.random.RandomState(seed)
    logits = (3 * random.standard_normal((len(HISTORIES), config.n_vocab + NUM_ADDED))).astype(np.float32)
    logits[:, BEGIN : TIMESTAMPS.stop] += np.float32(timestamp_offset)
    logits[:, TIMESTAMPS.stop :] += np.float32(added_offset)
    expected = [plain_next_token(row.tolist(), history, config) for row, history in zip(logits, HISTORIES, strict=True)]
    chosen = choose(config, logits, HISTORIES)
    assert chosen.tokens.tolist() == [token for token, _ in expected]
    np.testing.assert_allclose(chosen.logprobs, [logprob for _, logprob in expected], atol=1e-4)


def test_rows_without_timestamps(config: WhisperConfig) -> None:
    num = len(HISTORIES)
    logits = np.random.RandomState(0).standard_normal((2 * num, config.n_vocab)).astype(np.float32)
    masked = mask(config, logits, [*HISTORIES, *HISTORIES], [True] * num + [False] * num)
    np.testing.assert_array_equal(masked[:num], mask(config, logits[:num], HISTORIES))
    for row, history in zip(masked[num:], HISTORIES, strict=True):
        forbidden = {*config.suppress_tokens, *(() if history else config.begin_suppress_tokens)}
        assert set(np.flatnonzero(row == -np.inf).tolist()) == forbidden


def test_latest_first_timestamp_is_a_timestamp(config: WhisperConfig) -> None:
    logits = np.zeros((1, config.n_vocab + NUM_ADDED), np.float32)
    masked = mask(dataclasses.replace(config, max_initial_timestamp=5000), logits, [[]])
    assert np.flatnonzero(masked[0] > -np.inf).tolist() == list(TIMESTAMPS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_logits_do_not_affect_other_rows(config: WhisperConfig, value: float) -> None:
    logits = np.random.RandomState(0).standard_normal((3, config.n_vocab)).astype(np.float32)
    expected = choose(config, logits[[0, 2]], [[BEGIN, 5], [BEGIN, 6]])
    logits[1, 7] = value
    chosen = choose(config, logits, [[BEGIN, 5], [BEGIN, 5], [BEGIN, 6]])
    assert np.isfinite(chosen.logprobs).tolist() == [True, False, True]
    assert chosen.tokens[[0, 2]].tolist() == expected.tokens.tolist()


def test_log_sum_exp() -> None:
    rows = np.array([[1000, 1000], [-1000, -np.inf], [-np.inf, -np.inf]], np.float32)
    np.testing.assert_allclose(log_sum_exp(rows), [1000 + math.log(2), -1000, -np.inf], rtol=1e-6)
