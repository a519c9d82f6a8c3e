"""Which language a recording speaks, and which of its windows follow."""

from __future__ import annotations

from itertools import permutations

import pytest

from asr_api.longform.language_vote import MAX_VOTING_WINDOWS, LanguageVote, is_confident, should_follow
from asr_api.transcript import LanguageGuess


def guesses(text: str) -> tuple[LanguageGuess, ...]:
    """`en .9 de .05`"""
    parts = text.split()
    return tuple(LanguageGuess(code, float(p)) for code, p in zip(parts[::2], parts[1::2], strict=True))


MUSIC, ENGLISH, SPANISH = guesses("nn .35 en .1 ja .05"), guesses("en .97 cy .02"), guesses("es .95 pt .03 en .01")


def test_the_first_three_windows_with_speech_decide_in_whatever_order_they_are_heard() -> None:
    ballots = [(), MUSIC, ENGLISH, (), SPANISH, SPANISH, SPANISH]
    winners = set()
    for order in permutations(range(len(ballots))):
        vote, cast = LanguageVote(), set[int]()
        for index in order:
            if not vote.is_closed:
                first = next(i for i in range(len(ballots)) if i not in cast)
                assert sum(map(bool, ballots[:first])) < 3
            vote.cast(index, ballots[index])
            cast.add(index)
        assert vote.is_closed
        winners.add(vote.winner)
    assert winners == {"en"}


def test_a_short_recording_is_decided_by_what_there_is() -> None:
    vote = LanguageVote()
    vote.end(2)
    vote.cast(1, SPANISH)
    assert not vote.is_closed
    vote.cast(0, MUSIC)
    assert vote.is_closed
    assert vote.winner == "es"
    empty = LanguageVote()
    empty.end(0)
    assert empty.is_closed
    assert empty.winner is None


def test_a_long_silence_is_not_waited_for() -> None:
    vote = LanguageVote()
    for index in range(MAX_VOTING_WINDOWS):
        assert not vote.is_closed
        vote.cast(index, MUSIC if index == 0 else ())
    assert vote.is_closed
    assert vote.winner == "nn"
    vote.cast(MAX_VOTING_WINDOWS, ENGLISH)
    assert vote.winner == "nn", "what was decided stays"


@pytest.mark.parametrize(
    ("heard", "winner", "follows"),
    [
        (MUSIC, "en", True),
        (guesses("nn .2 ja .1"), "en", True),  # hardly knows, and the winner is not even among its guesses
        (SPANISH, "en", False),  # an answer in another language
        (guesses("es .7 en .28"), "en", True),
        (guesses("es .5 pt .45 en .01"), "en", False),  # unsure, but not about that
        (guesses("en .4 de .3"), "en", False),  # it is in the winner's language already
        ((), "en", False),
    ],
)
def test_a_window_follows_where_it_doubts(heard: tuple[LanguageGuess, ...], winner: str, follows: bool) -> None:
    assert should_follow(heard, winner) is follows
    assert not (is_confident(heard) and follows)
