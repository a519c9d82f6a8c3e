"""Word timestamps: the words of a window's segments with times and probabilities, from cross-attention.

OpenAI's method: a word is spoken at the positions to which the alignment heads attend while its tokens are predicted.
Whatever the attention, words are in order, inside their segment and the audio, and together exactly its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median

import numpy as np

from asr_api.engines.whisper.alignment import alignment_weights, dtw_row_starts
from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.config import POSITION_MS
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.text.word_splitting import SplitWord, split_words
from asr_api.transcript import Segment, Word

# OpenAI's limit of the median duration of words, against words that include a pause.
MAX_MEDIAN_MS = 700


@dataclass(slots=True)
class _Timing:
    """A word whose times are still being corrected."""

    start_ms: int
    end_ms: int
    punctuation_end_ms: int  # when the next word begins
    ends_sentence: bool

    @property
    def duration_ms(self) -> int:
        return self.end_ms - self.start_ms


def timed_words(
    segments: Sequence[Segment], attention: Floats, first_row: int, tokenizer: Tokenizer, audio_ms: int
) -> tuple[tuple[Word, ...], ...]:
    """The words of each segment, in order; none for a segment without tokens.

    attention: (n_heads, n_tokens, n_positions) weights of the alignment heads in one forward pass over
               [start, …, no_timestamps, *all tokens of all segments, end]
    first_row: of no_timestamps, whose attention predicts the first token of text
    audio_ms:  length of the audio in the window; attention to the padding is ignored
    A word's probability is the mean over the tokens of its letters, without punctuation.
    """
    num_tokens = sum(len(segment.tokens) for segment in segments)
    if not num_tokens:
        return tuple(() for _ in segments)
    weights = alignment_weights(attention[:, :, : max(1, audio_ms // POSITION_MS)], first_row, num_tokens)
    firsts = accumulate((len(segment.tokens) for segment in segments[:-1]), initial=0)
    boundaries_ms = [
        _token_boundaries_ms(segment, weights[first : first + len(segment.tokens)])
        for segment, first in zip(segments, firsts, strict=True)
    ]
    split = [split_words(segment.tokens, tokenizer.decode) for segment in segments]
    timings = list(map(_timings, split, boundaries_ms))
    _shorten(timings)
    return tuple(
        _words(segment, words, row, audio_ms) for segment, words, row in zip(segments, split, timings, strict=True)
    )


def _token_boundaries_ms(segment: Segment, weights: Floats) -> list[int]:
    """When each token of the segment begins, and when the last one ends.

    OpenAI aligns the whole window at once and corrects times outside of their segment afterwards. Aligning each segment
    by itself cannot confuse it with another segment that has the same words.
    """
    if not segment.tokens:
        return []
    begin = min(segment.start_ms // POSITION_MS, weights.shape[1] - 1)
    end = max(-(-segment.end_ms // POSITION_MS), begin + 1)
    positions: list[int] = dtw_row_starts(-weights[:, begin:end]).tolist()
    return [*((begin + position) * POSITION_MS for position in positions), segment.end_ms]


def _timings(words: Sequence[SplitWord], boundaries_ms: Sequence[int]) -> list[_Timing]:
    starts_ms = [*(boundaries_ms[word.first_token] for word in words), *boundaries_ms[-1:]]
    return [
        _Timing(start_ms, boundaries_ms[word.last_token + 1], next_ms, word.ends_sentence)
        for word, (start_ms, next_ms) in zip(words, pairwise(starts_ms), strict=True)
    ]


def _shorten(timings: Sequence[Sequence[_Timing]]) -> None:
    """Shortens words at the edges of sentences and segments that seem to include a pause.

    Punctuation may be a pause or the end of the sound; it counts as long as the word is not unusually long.
    """
    every = [timing for row in timings for timing in row]
    median_ms = min(MAX_MEDIAN_MS, int(median([word.duration_ms for word in every if word.duration_ms] or [0])))
    max_ms = 2 * median_ms
    for word in every:
        word.end_ms = max(word.end_ms, min(word.punctuation_end_ms, word.start_ms + max_ms))
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
    """Shortens the first two words after a pause."""
    first, second = row[0], row[1] if len(row) > 1 else None
    is_pair_long = second is not None and second.end_ms - first.start_ms > 2 * max_ms
    if first.duration_ms <= max_ms and not is_pair_long:
        return
    if second is not None and second.duration_ms > max_ms:
        first.end_ms = second.start_ms = max(second.end_ms // 2, second.end_ms - max_ms)
    first.start_ms = max(0, first.end_ms - max_ms)


def _words(segment: Segment, split: Sequence[SplitWord], timings: Sequence[_Timing], audio_ms: int) -> tuple[Word, ...]:
    """Times are in order and inside the segment, whatever the attention was."""
    now_ms, last_ms = min(segment.start_ms, audio_ms), min(segment.end_ms, audio_ms)
    words = []
    for word, timing in zip(split, timings, strict=True):
        start_ms = min(max(timing.start_ms, now_ms), last_ms)
        now_ms = min(max(timing.end_ms, start_ms), last_ms)
        logprobs = segment.logprobs[word.first_token : word.last_token + 1]
        probability = min(1.0, float(np.exp(logprobs).mean()))
        words.append(Word(start_ms, now_ms, word.text, probability))
    return tuple(words)
