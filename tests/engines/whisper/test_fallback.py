"""Which candidates pass, and the best of several."""

from __future__ import annotations

import pytest

from asr_api.engines.whisper.fallback import Candidate, best_failed, best_sample
from asr_api.transcript import Doubt, Quality


def candidate(num: int, total: float, *doubts: Doubt, is_whole: bool = True) -> Candidate:
    quality = Quality(mean_logprob=total / (num + 1), doubts=doubts)
    return Candidate((1,) * num, (0.0,) * num, total, num, is_whole=is_whole, quality=quality)


@pytest.mark.parametrize(
    ("doubts", "passes"),
    [((), True), (("no_speech",), True), (("repetition",), False), (("repetition", "low_confidence"), False)],
)
def test_passes(doubts: tuple[Doubt, ...], passes: bool) -> None:
    assert candidate(4, -2.0, *doubts).passes is passes


def test_best_sample() -> None:
    passing, likelier = candidate(4, -2.0), candidate(8, -3.0)
    looping, cut_off = candidate(40, -0.4, "repetition"), candidate(16, -0.1, "repetition", is_whole=False)
    silent = candidate(0, -3.0, "low_confidence")
    assert best_sample([passing, likelier, looping, cut_off, silent]) is likelier
    assert best_sample([cut_off, silent, looping]) is looping
    assert best_sample([silent]) is silent


def test_best_failed() -> None:
    looping, unsure, lost = candidate(40, -1, "repetition"), candidate(9, -20, "low_confidence"), candidate(9, -30)
    cut_off = candidate(9, -0.1, "low_confidence", is_whole=False)
    assert best_failed([looping, unsure, cut_off, lost]) is unsure
    assert best_failed([cut_off, looping]) is looping
    assert best_failed([cut_off]) is cut_off
