"""Woven sentences are new, and made of what follows what in real ones."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from training.grammar import is_held_out, sentences
from training.open_text import words
from training.woven import MAX_WORDS, MIN_WORDS, Loom, woven_sentences

TEXTS = sentences(1, 600)


def test_a_loom_of_one_sentence_can_only_say_it() -> None:
    assert Loom(["The cat saw a dog."]).sentence(random.Random(1)) == "The cat saw a dog."


def test_woven_sentences_are_new_and_none_is_held_out() -> None:
    woven = woven_sentences(TEXTS, 200, seed=1)
    known = {" ".join(words(text)) for text in TEXTS}
    assert len(woven) == 200
    assert not any(" ".join(words(text)) in known or is_held_out(text) for text in woven)
    assert all(MIN_WORDS <= len(text.split()) <= MAX_WORDS and text[-1] in ".?!" for text in woven)
    assert woven == woven_sentences(TEXTS, 200, seed=1) != woven_sentences(TEXTS, 200, seed=2)


def test_too_few_texts_are_told_instead_of_being_woven_for_ever() -> None:
    with pytest.raises(ValueError, match="nothing new can be woven of 1 sentences; give more"):
        woven_sentences(["The cat saw a dog."], 1, seed=1)


def test_every_word_follows_the_one_before_in_some_real_sentence() -> None:
    pairs = {pair for text in TEXTS for pair in pairwise(text.split())}
    assert all(pair in pairs for text in woven_sentences(TEXTS, 50, seed=1) for pair in pairwise(text.split()))
