"""Cross-attention of one window → the words of its segments, with times and probabilities.

Times by OpenAI's method: where the model alignment_weights as it writes a word is where the word is said. Whatever the attention,
words are in order, inside their segment and inside the audio, and together exactly its text. Knows nothing about how
the attention was computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median

import numpy as np

from asr_api.engines.whisper.alignment import Floats, alignment_weights, dtw_row_starts
from asr_api.engines.whisper.config import POSITION_MS
from asr_api.engines.whisper.timestamps import TokenSpan
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.text.word_splitting import SplitWord, split_words
from asr_api.transcript import Word

# OpenAI's guards against words that swallow a pause.
MAX_MEDIAN_MS = 700  # the usual length of a word is not believed to be more


@dataclass(slots=True)
class _Timing:
    """A word whose time is still being mended. rest_ms: when its punctuation ends"""

    start_ms: int
    end_ms: int
    rest_ms: int
    ends_sentence: bool

    @property
    def duration_ms(self) -> int:
        return self.end_ms - self.start_ms


def timed_words(
    spans: Sequence[TokenSpan], attention: Floats, first_row: int, tokenizer: Tokenizer, audio_ms: int
) -> tuple[tuple[Word, ...], ...]:
    """The words of each span, in order; none for a span without text.

    attention: (n_heads, n_tokens, n_positions) float32, weights of the alignment heads in one pass over
               [start, …, no_timestamps, *all tokens of all spans, end]
    first_row: the row of no_timestamps, which alignment_weights where the first token of text is said
    audio_ms:  how much of the window is audio; the model's alignment_weights behind it do not count
    A word's probability is the mean over the tokens in which it is spoken; punctuation says nothing about it.
    """
    num_tokens = sum(len(span.tokens) for span in spans)
    if not num_tokens:
        return tuple(() for _ in spans)
    seen = alignment_weights(attention[:, :, : max(1, audio_ms // POSITION_MS)], first_row, num_tokens)
    firsts = accumulate((len(span.tokens) for span in spans[:-1]), initial=0)
    marks_ms = [
        _marks_ms(span, seen[first : first + len(span.tokens)]) for span, first in zip(spans, firsts, strict=True)
    ]
    spelled = [split_words(span.tokens, tokenizer.decode) for span in spans]
    timings = [_timings(*pair) for pair in zip(spelled, marks_ms, strict=True)]
    _shorten(timings)
    return tuple(_words(span, words, row, audio_ms) for span, words, row in zip(spans, spelled, timings, strict=True))


def _marks_ms(span: TokenSpan, seen: Floats) -> list[int]:
    """When each token of the segment begins, and when the last one ends.

    OpenAI alignment_weights for the way through the whole window and mends what then lies outside of a segment. The way through
    each segment by itself can't go astray in another one, where the same words may be said.
    """
    if not span.tokens:
        return []
    begin = min(span.start_ms // POSITION_MS, seen.shape[1] - 1)
    end = max(-(-span.end_ms // POSITION_MS), begin + 1)
    positions: list[int] = dtw_row_starts(-seen[:, begin:end]).tolist()
    return [*((begin + position) * POSITION_MS for position in positions), span.end_ms]


def _timings(words: Sequence[SplitWord], marks_ms: Sequence[int]) -> list[_Timing]:
    """A word with its punctuation lasts until the next word begins."""
    lasts = [*(word.first_token for word in words[1:]), len(marks_ms) - 1]
    return [
        _Timing(marks_ms[word.first_token], marks_ms[word.last_token + 1], marks_ms[last], word.ends_sentence)
        for word, last in zip(words, lasts, strict=False)
    ]


def _shorten(timings: Sequence[Sequence[_Timing]]) -> None:
    """Words at the edges of sentences and segments are shortened where they seem to include a pause.

    Punctuation may be a pause or the end of the sound; it counts as long as the word is not unusually long.
    """
    every = [timing for row in timings for timing in row]
    usual_ms = min(MAX_MEDIAN_MS, int(median([word.duration_ms for word in every if word.duration_ms] or [0])))
    max_ms = 2 * usual_ms
    for word in every:
        word.end_ms = max(word.end_ms, min(word.rest_ms, word.start_ms + max_ms))
    for before, word in pairwise(every):
        if before.ends_sentence and word.duration_ms > max_ms:
            word.start_ms = word.end_ms - max_ms
    spoken_until_ms = 0
    for row in timings:
        if not row:
            continue
        if row[-1].duration_ms > 2 * max_ms:
            row[-1].end_ms = row[-1].start_ms + max_ms
        if row[0].end_ms - spoken_until_ms > 2 * max_ms:
            _shorten_start(row, max_ms)
        spoken_until_ms = row[-1].end_ms


def _shorten_start(row: Sequence[_Timing], max_ms: int) -> None:
    """The first two words after a pause."""
    first, second = row[0], row[1] if len(row) > 1 else None
    is_pair_long = second is not None and second.end_ms - first.start_ms > 2 * max_ms
    if first.duration_ms <= max_ms and not is_pair_long:
        return
    if second is not None and second.duration_ms > max_ms:
        first.end_ms = second.start_ms = max(second.end_ms // 2, second.end_ms - max_ms)
    first.start_ms = max(0, first.end_ms - max_ms)


def _words(
    span: TokenSpan, spelled: Sequence[SplitWord], timings: Sequence[_Timing], audio_ms: int
) -> tuple[Word, ...]:
    """With times that are in order and inside the segment, whatever the attention was."""
    now_ms, last_ms = min(span.start_ms, audio_ms), min(span.end_ms, audio_ms)
    words = []
    for word, timing in zip(spelled, timings, strict=True):
        start_ms = min(max(timing.start_ms, now_ms), last_ms)
        now_ms = min(max(timing.end_ms, start_ms), last_ms)
        logprobs = span.logprobs[word.first_token : word.last_token + 1]
        probability = min(1.0, float(np.exp(logprobs).mean()))
        words.append(Word(start_ms, now_ms, word.text, probability))
    return tuple(words)
