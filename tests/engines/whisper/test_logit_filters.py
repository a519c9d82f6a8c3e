"""The vectorised rules against a plain twin: one row at a time, written down from OpenAI's description."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from asr_api.engines.whisper.logit_filters import LogitFilters, TokenHistory, log_sum_exp
from asr_api.engines.whisper.sampling import Choice, greedy
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint

END, NO_STAMPS = SMALL.end, SMALL.special("notimestamps")
BEGIN = NO_STAMPS + 1


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> WhisperConfig:
    return read_whisper_config(open_checkpoint(write_checkpoint(tmp_path_factory.mktemp("rules"), SMALL)))


def plain_choice(logits: Sequence[float], said: Sequence[int], config: WhisperConfig) -> tuple[int, float]:
    """One row: the allowed tokens by the rules in words, then the best of them."""

    def is_allowed(token: int) -> bool:
        is_stamp = token >= BEGIN
        if token in config.suppress_tokens or token == NO_STAMPS:
            return False
        if not said:  # the first: a stamp up to 1.0 s
            return is_stamp and token <= BEGIN + 50
        ends_in_stamp, before_is_stamp = said[-1] >= BEGIN, len(said) < 2 or said[-2] >= BEGIN
        if ends_in_stamp and before_is_stamp and is_stamp:  # opened: text follows
            return False
        if ends_in_stamp and not before_is_stamp and token < END:  # closed: a stamp or the end follows
            return False
        stamps = [earlier for earlier in said if earlier >= BEGIN]
        if is_stamp and stamps:
            return token >= stamps[-1] + (0 if ends_in_stamp and not before_is_stamp else 1)
        return True

    allowed = [token for token in range(len(logits)) if is_allowed(token)]
    stamps = [token for token in allowed if token >= BEGIN]
    others = [token for token in allowed if token < BEGIN]
    mass = sum(math.exp(logits[token]) for token in stamps)
    if others and mass > max(math.exp(logits[token]) for token in others):
        allowed = stamps
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
]


def choose(config: WhisperConfig, logits: np.ndarray, rows: Sequence[Sequence[int]]) -> Choice:
    left = logits.copy()
    LogitFilters(config, end=END, no_timestamps=NO_STAMPS).mask(left, TokenHistory.of(rows, BEGIN, [True] * len(rows)))
    return greedy(left)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("stamp_offset", [-6.0, -2.0, 0.0, 3.0])
def test_every_row_chooses_as_its_plain_twin(config: WhisperConfig, seed: int, stamp_offset: float) -> None:
    random = np.random.RandomState(seed)
    logits = (3 * random.standard_normal((len(HISTORIES), config.n_vocab))).astype(np.float32)
    logits[:, BEGIN:] += np.float32(stamp_offset)
    expected = [plain_choice(row.tolist(), said, config) for row, said in zip(logits, HISTORIES, strict=True)]
    choice = choose(config, logits, HISTORIES)
    assert choice.tokens.tolist() == [token for token, _ in expected]
    np.testing.assert_allclose(choice.logprobs, [logprob for _, logprob in expected], atol=1e-4)


def test_a_favourite_that_is_not_allowed_is_never_chosen(config: WhisperConfig) -> None:
    for token in (*config.suppress_tokens, NO_STAMPS, BEGIN + 3):
        logits = np.zeros((1, config.n_vocab), np.float32)
        logits[0, token] = 50
        assert choose(config, logits, [[BEGIN + 5, 7]]).tokens[0] != token


def test_the_end_may_follow_text_or_a_closing_stamp_but_not_open_a_window(config: WhisperConfig) -> None:
    rows = [[BEGIN, 5], [BEGIN, 5, BEGIN + 9], []]
    logits = np.zeros((3, config.n_vocab), np.float32)
    logits[:, END] = 50
    assert (choose(config, logits, rows).tokens == END).tolist() == [True, True, False]


def test_rows_without_timestamps_know_only_suppressed_tokens(config: WhisperConfig) -> None:
    rows = [*HISTORIES, *HISTORIES]
    has_timestamps = [True] * len(HISTORIES) + [False] * len(HISTORIES)
    logits = np.random.RandomState(0).standard_normal((len(rows), config.n_vocab)).astype(np.float32)
    left, stamped = logits.copy(), logits[: len(HISTORIES)].copy()
    rules = LogitFilters(config, end=END, no_timestamps=NO_STAMPS)
    rules.mask(left, TokenHistory.of(rows, BEGIN, has_timestamps))
    rules.mask(stamped, TokenHistory.of(HISTORIES, BEGIN, [True] * len(HISTORIES)))
    np.testing.assert_array_equal(left[: len(HISTORIES)], stamped)
    for row, said in zip(left[len(HISTORIES) :], HISTORIES, strict=True):
        forbidden = {*config.suppress_tokens, *(() if said else config.begin_suppress_tokens)}
        assert set(np.flatnonzero(row == -np.inf).tolist()) == forbidden


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_told_and_neighbours_unharmed(config: WhisperConfig, value: float) -> None:
    logits = np.random.RandomState(0).standard_normal((3, config.n_vocab)).astype(np.float32)
    expected = choose(config, logits[[0, 2]], [[BEGIN, 5], [BEGIN, 6]])
    logits[1, 7] = value
    choice = choose(config, logits, [[BEGIN, 5], [BEGIN, 5], [BEGIN, 6]])
    assert np.isfinite(choice.logprobs).tolist() == [True, False, True]
    assert choice.tokens[[0, 2]].tolist() == expected.tokens.tolist()


def test_log_sum_exp_neither_overflows_nor_warns() -> None:
    rows = np.array([[1000, 1000], [-1000, -np.inf], [-np.inf, -np.inf]], np.float32)
    np.testing.assert_allclose(log_sum_exp(rows), [1000 + math.log(2), -1000, -np.inf], rtol=1e-6)
