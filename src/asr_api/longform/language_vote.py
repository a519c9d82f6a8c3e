"""Which language does a recording speak? Its first windows with speech vote; a window that doubts its own follows.

In go the guesses of windows, in any order; out come the winner, once it is certain, and whether a window should be
heard again in the winner's language. Knows nothing about audio, models or when windows are heard.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from asr_api.transcript import LanguageGuess

NUM_VOTERS = 3
MAX_VOTING_WINDOWS = 10  # after as many, those that have voted decide: nobody waits for the end of a long silence

# A window that is this sure of its language keeps it, whatever the others speak: an answer in Spanish, say.
CONFIDENT_PROBABILITY = 0.8
# One that hardly knows, as music is heard, follows the others.
MIN_OWN_PROBABILITY = 0.3
# In between, the winner is likelier beforehand by this factor: enough to settle en against nn, not es against pt.
WINNER_PRIOR_ODDS = 20.0


class LanguageVote:
    """The ballots count in the order of the windows, whichever is heard first, so the same audio elects the same."""

    def __init__(self) -> None:
        self._early: dict[int, Sequence[LanguageGuess]] = {}  # heard before a window that comes before them
        self._num_counted = 0
        self._num_voters = 0
        self._num_windows: int | None = None  # of the recording, once that is known
        self._weights: defaultdict[str, float] = defaultdict(float)

    def cast(self, index: int, guesses: Sequence[LanguageGuess]) -> None:
        """What the window with this index, counted from 0, was heard in; nothing where nobody spoke. Once for each."""
        self._early[index] = guesses
        while self._num_counted in self._early:
            self._count(self._early.pop(self._num_counted))

    def end(self, num_windows: int) -> None:
        """There are only so many windows."""
        self._num_windows = num_windows

    def has(self, index: int) -> bool:
        """Whether this window was cast."""
        return index < self._num_counted or index in self._early

    @property
    def is_closed(self) -> bool:
        is_complete = self._num_windows is not None and self._num_counted >= self._num_windows
        return is_complete or self._num_voters == NUM_VOTERS or self._num_counted >= MAX_VOTING_WINDOWS

    @property
    def winner(self) -> str | None:
        """Of the ballots counted so far; of equals, the language that was heard first."""
        return max(self._weights, key=self._weights.__getitem__, default=None)

    def _count(self, guesses: Sequence[LanguageGuess]) -> None:
        if guesses and not self.is_closed:
            self._num_voters += 1
            for guess in guesses:
                self._weights[guess.code] += guess.probability
        self._num_counted += 1


def is_confident(guesses: Sequence[LanguageGuess]) -> bool:
    """Whether a window keeps its language, whatever the vote says; also one whose language nobody had to guess."""
    return not guesses or guesses[0].probability >= CONFIDENT_PROBABILITY


def should_follow(guesses: Sequence[LanguageGuess], winner: str) -> bool:
    """Whether a window with these guesses, best first, rather speaks the winner than its own best guess."""
    if is_confident(guesses) or guesses[0].code == winner:
        return False
    likelihood = next((guess.probability for guess in guesses if guess.code == winner), 0.0)
    best = guesses[0].probability
    return best < MIN_OWN_PROBABILITY or likelihood * WINNER_PRIOR_ODDS >= best
