"""Beam search against a plain implementation, and edge cases; a model is a function of the text so far."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.beam_search import BeamSearch, top_k

Model = Callable[[list[int]], Floats]

END = 0


def random_model(seed: int, n_vocab: int, forbidden: float = 0.0) -> Model:
    """Log-probabilities that depend on the whole text so far; a share of the tokens is forbidden."""

    def answer(tokens: list[int]) -> Floats:
        random = np.random.default_rng([seed, *tokens])
        logits = 2 * random.standard_normal(n_vocab)
        logprobs = logits - np.log(np.exp(logits).sum())
        logprobs[random.random(n_vocab) < forbidden] = -np.inf
        return np.asarray(logprobs, np.float32)

    return answer


def search(model: Model, beam_size: int, max_tokens: int = 50) -> BeamSearch:
    beams = BeamSearch(beam_size, end=END, max_tokens=max_tokens)
    while not beams.is_done:
        beams.advance(np.stack([model(tokens) for tokens in beams.tokens]))
    return beams


def plain_search(model: Model, beam_size: int, max_tokens: int) -> tuple[int, ...]:
    """The same algorithm over Python lists of texts."""
    running: list[tuple[np.float32, list[int]]] = [(np.float32(0), [])]
    finished: list[tuple[np.float32, list[int]]] = []
    for length in range(1, max_tokens + 1):
        continued = ((total, tokens, enumerate(model(tokens))) for total, tokens in running)
        texts = [
            (total + logprob, [*tokens, token]) for total, tokens, logprobs in continued for token, logprob in logprobs
        ]
        texts = sorted(texts, key=lambda text: -text[0])[: 2 * beam_size]
        finals = [text for text in texts[:beam_size] if text[1][-1] == END or length == max_tokens]
        finished = sorted(
            finished + [(total / np.float32(length), tokens) for total, tokens in finals], key=lambda text: -text[0]
        )[:beam_size]
        running = [text for text in texts if text[1][-1] != END][:beam_size]
        if len(finished) == beam_size and running[0][0] / np.float32(length) <= finished[-1][0]:
            break
    return tuple(token for token in finished[0][1] if token != END)


@pytest.mark.parametrize("forbidden", [0.0, 0.3])
@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
def test_plain_search(beam_size: int, forbidden: float) -> None:
    texts = set()
    for seed in range(60):
        model, max_tokens = random_model(seed, n_vocab=16, forbidden=forbidden), (4, 9, 40)[seed % 3]
        best = search(model, beam_size, max_tokens).best()
        assert best.tokens == plain_search(model, beam_size, max_tokens)
        assert best.is_ended == (len(best.tokens) < max_tokens)
        texts.add(best.tokens)
    assert len(texts) > 40


def test_parents_reorder_states() -> None:
    model = random_model(3, n_vocab=9)
    beams = BeamSearch(4, end=END, max_tokens=12)
    states: list[list[int]] = [[], [], [], []]
    while not beams.is_done:
        parents = beams.advance(np.stack([model(tokens) for tokens in beams.tokens]))
        states = [[*states[parent], tokens[-1]] for parent, tokens in zip(parents, beams.tokens, strict=True)]
        assert states == beams.tokens
        assert all(END not in tokens for tokens in beams.tokens) or beams.is_done
        assert len({tuple(tokens) for tokens in beams.tokens}) == 4


@pytest.mark.parametrize("beam_size", [1, 3])
def test_logprobs_of_the_best(beam_size: int) -> None:
    for seed in range(10):
        model = random_model(seed, n_vocab=8)
        best = search(model, beam_size, max_tokens=10).best()
        expected = [model(list(best.tokens[:index]))[token] for index, token in enumerate(best.tokens)]
        assert best.logprobs == pytest.approx(expected)
        if best.is_ended:
            expected.append(model(list(best.tokens))[END])
        assert best.sum_logprobs == pytest.approx(float(np.sum(expected)), rel=1e-5)


def test_ties() -> None:
    beams = BeamSearch(3, end=END, max_tokens=9)
    flat = np.full((3, 100), -4.6, np.float32)
    flat[:, END] = -np.inf
    beams.advance(flat)
    assert beams.tokens == [[1], [2], [3]]
    assert beams.advance(flat).tolist() == [0, 0, 0]
    assert beams.tokens == [[1, 1], [1, 2], [1, 3]]


@pytest.mark.parametrize("n", [7, 64, 1000, 51_865])
def test_top_k_equals_a_stable_sort(n: int) -> None:
    random = np.random.default_rng(n)
    for spread in (3, 1_000_000):  # with many equals, with none
        values = random.integers(0, spread, n).astype(np.float32)
        values[random.random(n) < 0.5] = -np.inf
        for num in (1, 2, 7):
            assert top_k(values, num).tolist() == np.argsort(-values, kind="stable")[:num].tolist()
