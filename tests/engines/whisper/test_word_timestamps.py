"""Word timestamps: usable for any attention, and right where the attention follows the words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.word_timestamps import timed_words
from asr_api.transcript import Segment, Word
from tests.engines.whisper_checkpoints import SMALL

FIRST_ROW = 3  # after start, language and task


def spell(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """One token for each character; only letters of ASCII and blanks."""
    by_letter = {tokenizer.decode([token]): token for token in range(256)}
    return tuple(by_letter[letter] for letter in text)


def segment_of(start_ms: int, end_ms: int, tokens: Sequence[int], logprobs: Sequence[float] = ()) -> Segment:
    """The text is not needed: it is decoded from the tokens."""
    return Segment(start_ms, end_ms, "", tokens=tuple(tokens), logprobs=tuple(logprobs or (-0.5,) * len(tokens)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_words_are_ordered_for_any_attention(tokenizer: Tokenizer, data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    audio_ms = data.draw(st.sampled_from([10, 300, 1234, 3000]))
    times_ms = sorted(data.draw(st.lists(st.integers(0, audio_ms), min_size=8, max_size=8)))
    lengths = data.draw(st.lists(st.integers(0, 12), min_size=4, max_size=4))
    segments = []
    for start_ms, end_ms, length in zip(times_ms[::2], times_ms[1::2], lengths, strict=True):
        tokens, logprobs = random.integers(0, SMALL.n_text_tokens, length), -random.exponential(2, length)
        segments.append(segment_of(start_ms, end_ms, tokens.tolist(), logprobs.tolist()))
    sharpness = data.draw(st.sampled_from([0, 1, 5, 50, 1000]))  # from uniform to a single position
    scores = sharpness * random.standard_normal((2, FIRST_ROW + sum(lengths) + 2, 150))
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    attention = (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)

    found = timed_words(segments, attention, FIRST_ROW, tokenizer, audio_ms)

    assert len(found) == len(segments)
    for segment, words in zip(segments, found, strict=True):
        assert "".join(word.text for word in words) == tokenizer.decode(segment.tokens)
        edges = [segment.start_ms, *(edge for word in words for edge in (word.start_ms, word.end_ms)), segment.end_ms]
        assert edges == sorted(edges)
        assert all(0 <= word.probability <= 1 for word in words)


def following(ends_ms: Sequence[int], n_positions: int = 1500) -> Floats:
    """Attention that follows the words: of each text token and the end, from the last token's end to its own."""
    rows = np.full((FIRST_ROW + len(ends_ms) + 1, n_positions), 1e-3)
    for row, (begin_ms, end_ms) in enumerate(zip([0, *ends_ms], ends_ms, strict=False)):
        rows[FIRST_ROW + row, begin_ms // 20 : end_ms // 20] = 1.0
    rows[:, -100:] = 5.0  # the padding after the audio also draws attention
    attention: Floats = (rows / rows.sum(axis=-1, keepdims=True))[None].astype(np.float32)
    return attention


def test_words_follow_attention(tokenizer: Tokenizer) -> None:
    tokens = spell(tokenizer, " ab, c")
    ends_ms = [400, 600, 700, 1900, 2000, 2400, 3000]  # the comma is a pause
    logprobs = (0.0, math.log(0.5), math.log(0.1), -9.0, 0.0, 0.0)
    segments = [segment_of(0, 2400, tokens, logprobs), segment_of(2400, 3000, ())]
    words, nothing = timed_words(segments, following(ends_ms), FIRST_ROW, tokenizer, 3000)
    assert words == (Word(0, 1200, " ab,"), Word(1900, 2400, " c"))  # at most twice the median of 600 ms
    assert [word.probability for word in words] == pytest.approx([1.6 / 3, 1.0])
    assert nothing == ()


def test_equal_sentences_are_not_confused(tokenizer: Tokenizer) -> None:
    """The model attends to the first of two equal sentences while it decodes the second."""
    tokens = spell(tokenizer, " a b") * 2
    attention = following([200, 400, 600, 800, 2000, 2200, 2400, 2600, 3000])
    attention[:, FIRST_ROW + 5 : FIRST_ROW + 8] = attention[:, FIRST_ROW + 1 : FIRST_ROW + 4]
    segments = [segment_of(0, 800, tokens[:4]), segment_of(1800, 2600, tokens[4:])]
    _, second = timed_words(segments, attention, FIRST_ROW, tokenizer, 3000)
    assert [word.text for word in second] == [" a", " b"]
    assert 1800 == second[0].start_ms < second[0].end_ms == second[1].start_ms < second[1].end_ms == 2600


def test_words_beside_a_pause_exclude_it(tokenizer: Tokenizer) -> None:
    tokens = spell(tokenizer, " a b c. d e")
    ends_ms = [200, 400, 600, 800, 1000, 1200, 1300, 1500, 6000, 6200, 6400, 7000]
    segments = [segment_of(0, 1300, tokens[:7]), segment_of(1300, 10_000, tokens[7:])]
    (_, (after, last)) = timed_words(segments, following(ends_ms), FIRST_ROW, tokenizer, 10_000)
    assert (after.end_ms, last.start_ms) == (6000, 6000)
    assert after.start_ms > 5000  # the model attends to all of the pause
    assert last.end_ms < 7000  # no word follows
