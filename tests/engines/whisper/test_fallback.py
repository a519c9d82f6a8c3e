from __future__ import annotations

from asr_api.engines.whisper.fallback import Attempt, Candidate, best_attempt, best_sample
from asr_api.transcript import Doubt, Quality


def attempt(num: int, total: float, *doubts: Doubt, is_whole: bool = True) -> Attempt:
    candidate = Candidate((1,) * num, (0.0,) * num, total, num, is_whole=is_whole)
    return Attempt(candidate, Quality(mean_logprob=total / (num + 1), doubts=doubts))


def test_best_sample() -> None:
    passing, likelier = attempt(4, -2.0), attempt(8, -3.0)
    looping, cut_off = attempt(40, -0.4, "repetition"), attempt(16, -0.1, "repetition", is_whole=False)
    silent = attempt(0, -3.0, "low_confidence")
    assert best_sample([passing, likelier, looping, cut_off, silent]) is likelier
    assert best_sample([cut_off, silent, looping]) is looping
    assert best_sample([silent]) is silent


def test_best_attempt() -> None:
    looping, unsure, lost = attempt(40, -1, "repetition"), attempt(9, -20, "low_confidence"), attempt(9, -30)
    cut_off = attempt(9, -0.1, "low_confidence", is_whole=False)
    assert best_attempt([looping, unsure, cut_off, lost]) is unsure
    assert best_attempt([cut_off, looping]) is looping
    assert best_attempt([cut_off]) is cut_off
