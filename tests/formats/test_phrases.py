"""Timed words become utterances and paragraphs, in which every word stands once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.formats.phrases import (
    MAX_SENTENCES,
    confidence,
    paragraphs,
    phrase_text,
    sentences,
    timed_words,
    utterances,
)
from asr_api.transcript import Quality, Segment, Word
from tests.formats.transcripts import evenly_timed, timed


def test_a_sentence_does_not_end_with_a_title_or_inside_a_clause() -> None:
    words = timed_words([evenly_timed("Dr. Jones came. He said hi! ok, fine. Bye")])
    assert [phrase_text(sentence) for sentence in sentences(words)] == [
        "Dr. Jones came.", "He said hi! ok, fine.", "Bye",
    ]  # fmt: skip


def test_a_paragraph_ends_at_a_long_pause_and_after_five_sentences() -> None:
    words = timed_words([evenly_timed("One. Two. Three. Four. Five. Six."), timed((4000, 4300, "Seven."))])
    assert [len(paragraph) for paragraph in paragraphs(words)] == [MAX_SENTENCES, 1, 1]


def test_a_segment_without_word_timestamps_counts_as_one_word_of_its_probability() -> None:
    segment = Segment(0, 900, " Hi there.", quality=Quality(mean_logprob=-0.693147))
    [word] = timed_words([segment])
    assert (word.text, word.probability) == (" Hi there.", pytest.approx(0.5, abs=1e-4))
    assert (confidence([word]), confidence([])) == (0.5, 0.0)


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.sampled_from([" a", " b.", " C", "，", " d?"]))), st.integers(1, 2500)
)
def test_utterances_and_paragraphs_have_all_words_in_order(gaps: list[tuple[int, str]], min_pause_ms: int) -> None:
    words, end_ms = list[Word](), 0
    for gap_ms, text in gaps:
        words.append(Word(end_ms + gap_ms, end_ms + gap_ms + 200, text))
        end_ms += gap_ms + 200
    found = utterances(words, min_pause_ms)
    assert [word for phrase in found for word in phrase] == words
    assert [word for paragraph in paragraphs(words) for sentence in paragraph for word in sentence] == words
    for phrase, following in pairwise(found):
        assert following[0].start_ms - phrase[-1].end_ms >= min_pause_ms
