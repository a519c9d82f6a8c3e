"""Language vote: which language wins, and which windows follow it."""

from __future__ import annotations

from itertools import permutations

import pytest

from asr_api.longform.language_vote import MAX_VOTING_PIECES, LanguageVote, is_confident, should_follow
from asr_api.transcript import LanguageGuess


def guesses(text: str) -> tuple[LanguageGuess, ...]:
    """`en .9 de .05`"""
    parts = text.split()
    return tuple(LanguageGuess(code, float(p)) for code, p in zip(parts[::2], parts[1::2], strict=True))


MUSIC, ENGLISH, SPANISH = guesses("nn .35 en .1 ja .05"), guesses("en .97 cy .02"), guesses("es .95 pt .03 en .01")


def test_the_first_three_windows_with_speech_decide_in_any_order_of_decoding() -> None:
    votes = [(), MUSIC, ENGLISH, (), SPANISH, SPANISH, SPANISH]
    winners = set()
    for order in permutations(range(len(votes))):
        vote, added = LanguageVote(), set[int]()
        for index in order:
            if not vote.is_closed:
                first = next(i for i in range(len(votes)) if i not in added)
                assert sum(map(bool, votes[:first])) < 3
            vote.add(index, votes[index])
            added.add(index)
        assert vote.is_closed
        winners.add(vote.winner)
    assert winners == {"en"}


def test_a_short_recording_is_decided_by_its_windows() -> None:
    vote = LanguageVote()
    vote.end(2)
    vote.add(1, SPANISH)
    assert not vote.is_closed
    vote.add(0, MUSIC)
    assert vote.is_closed
    assert vote.winner == "es"
    empty = LanguageVote()
    empty.end(0)
    assert empty.is_closed
    assert empty.winner is None


def test_a_long_silence_does_not_delay_the_vote() -> None:
    vote = LanguageVote()
    for index in range(MAX_VOTING_PIECES):
        assert not vote.is_closed
        vote.add(index, MUSIC if index == 0 else ())
    assert vote.is_closed
    assert vote.winner == "nn"
    vote.add(MAX_VOTING_PIECES, ENGLISH)
    assert vote.winner == "nn", "the decision stays"


@pytest.mark.parametrize(
    ("own", "winner", "follows"),
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
def test_an_unsure_window_follows_the_winner(own: tuple[LanguageGuess, ...], winner: str, follows: bool) -> None:
    assert should_follow(own, winner) is follows
    assert not (is_confident(own) and follows)
