"""Sentences that nobody wrote: each word follows the two before it, or at times the one, in some real sentence.

A decoder that knows its sentences by heart need not listen; of these it has heard none. In go the sentences that may be
learned from; out come as many others as wanted.
"""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import pairwise

from training.grammar import is_held_out
from training.open_text import words

START, END = "<s>", "</s>"
PAIR_SHARE = 0.8
"""How often the two words before decide, where they leave a choice."""
MIN_CHOICES, MIN_WORDS, MAX_WORDS = 3, 3, 18
MAX_TRIES = 1000
"""In a row without a new sentence; a few texts hold few others."""


class Loom:
    """The words that follow words in some sentences."""

    def __init__(self, texts: list[str]) -> None:
        self._after_pair: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._after_word: dict[str, list[str]] = defaultdict(list)
        for text in texts:
            row = [START, START, *text.split(), END]
            for (first, second), word in zip(pairwise(row), row[2:], strict=False):
                self._after_pair[first, second].append(word)
                self._after_word[second].append(word)

    def sentence(self, rng: random.Random) -> str:
        """One that ends, of any length."""
        row = [START, START]
        while row[-1] != END:
            choices = self._after_pair[row[-2], row[-1]]
            if len(set(choices)) < MIN_CHOICES or rng.random() > PAIR_SHARE:
                choices = self._after_word[row[-1]]
            row.append(rng.choice(choices))
        return " ".join(row[2:-1])


def woven_sentences(texts: list[str], count: int, seed: int) -> list[str]:
    """New sentences of 3 to 18 words, none of them among the texts or held out.

    Raises ValueError where the texts are too few to make them of.
    """
    loom, rng, known = Loom(texts), random.Random(seed), {" ".join(words(text)) for text in texts}
    found: list[str] = []
    num_vain = 0
    while len(found) < count:
        text = loom.sentence(rng)
        is_new = " ".join(words(text)) not in known and not is_held_out(text)
        num_vain += 1
        if is_new and MIN_WORDS <= len(text.split()) <= MAX_WORDS:
            found.append(text)
            num_vain = 0
        if num_vain == MAX_TRIES:
            raise ValueError(f"nothing new can be woven of {len(texts)} sentences; give more of them.")
    return found
