"""Language vote: the first windows with speech decide on the language of a recording, for windows that are unsure.

Windows report their language guesses in any order; the vote tells the winner, and whether a window should be decoded
again in the winner's language.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from asr_api.transcript import LanguageGuess

NUM_VOTERS = 3
MAX_VOTING_PIECES = 10  # after so many windows the votes so far decide, so that a long silence delays nothing

# A window this confident keeps its language whatever the others speak: an answer in Spanish, for example.
CONFIDENT_PROBABILITY = 0.8
# Below this the guess means nothing, as on music, and the window follows the vote.
MIN_OWN_PROBABILITY = 0.3
# In between, the winner is this many times likelier beforehand: enough to settle en against nn, not es against pt.
WINNER_PRIOR_ODDS = 20.0


class LanguageVote:
    """Votes count in the order of the windows, not of their decoding, so the same audio gives the same language."""

    def __init__(self) -> None:
        self._early: dict[int, Sequence[LanguageGuess]] = {}  # votes of windows whose predecessors have not voted
        self._num_counted = 0
        self._num_voters = 0
        self._num_pieces: int | None = None  # of the recording, once known
        self._weights: defaultdict[str, float] = defaultdict(float)

    def add(self, index: int, guesses: Sequence[LanguageGuess]) -> None:
        """The guesses of the window with this index, counted from 0; none for one without speech. Once per window."""
        self._early[index] = guesses
        while self._num_counted in self._early:
            self._count(self._early.pop(self._num_counted))

    def end(self, num_pieces: int) -> None:
        """The recording has only so many windows."""
        self._num_pieces = num_pieces

    def has(self, index: int) -> bool:
        """Whether the window has voted."""
        return index < self._num_counted or index in self._early

    @property
    def is_closed(self) -> bool:
        is_complete = self._num_pieces is not None and self._num_counted >= self._num_pieces
        return is_complete or self._num_voters == NUM_VOTERS or self._num_counted >= MAX_VOTING_PIECES

    @property
    def winner(self) -> str | None:
        """Of the votes counted so far; among equals the language that came first."""
        return max(self._weights, key=self._weights.__getitem__, default=None)

    def _count(self, guesses: Sequence[LanguageGuess]) -> None:
        if guesses and not self.is_closed:
            self._num_voters += 1
            for guess in guesses:
                self._weights[guess.code] += guess.probability
        self._num_counted += 1


def is_confident(guesses: Sequence[LanguageGuess]) -> bool:
    """Whether a window keeps its language whatever the vote; also one whose language was not detected but given."""
    return not guesses or guesses[0].probability >= CONFIDENT_PROBABILITY


def should_follow(guesses: Sequence[LanguageGuess], winner: str) -> bool:
    """Whether the winner is likelier for a window than its own best guess. guesses: best first"""
    if is_confident(guesses) or guesses[0].code == winner:
        return False
    likelihood = next((guess.probability for guess in guesses if guess.code == winner), 0.0)
    best = guesses[0].probability
    return best < MIN_OWN_PROBABILITY or likelihood * WINNER_PRIOR_ODDS >= best
