"""Window transcripts in order → segments in absolute time, each final when it is returned.

At a quiet cut there is nothing to decide. Where windows overlap, both heard the same stretch: the words on which they
agree, in text and in time, show how the two fit together, and the seam is placed at the agreement nearest to the middle
of the overlap, where both are far from their edges. Knows nothing about audio or models.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from asr_api.text.word_splitting import UNSPACED
from asr_api.transcript import Segment, WindowSpan, WindowTranscript, Word

MAX_DRIFT_MS = 1500  # times inside a segment are interpolated: that far may the same word lie apart in two windows
# Two equal words that are common in the overlap are worth less the farther apart they are, and nothing at this
# distance, so that "no no no" is paired as it was said and not one "no" off. Of 300 to 1,000 ms, in a simulation with
# times off by up to 200 ms, 700 to 800 lost the fewest words (digits: none in 1,200 seams).
COMMON_WORD_MS = 750
ISOLATED_MS = 1500  # an agreement whose neighbours disagree counts as if it were this much farther from the middle

_PIECE = re.compile(rf"\s*(?:[{UNSPACED}]|[^\s{UNSPACED}]+)")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word (a character, where words are not spaced) of a segment, which is kept or dropped whole.

    source: the timed word it is in, or the segment where words have no times; its own times are interpolated in there
    """

    segment: Segment
    source: Word | Segment
    text: str
    start_ms: int
    end_ms: int

    @property
    def middle_ms(self) -> int:
        return (self.start_ms + self.end_ms) // 2

    @property
    def key(self) -> str:
        """Equal for words that differ in case or punctuation only; empty for punctuation."""
        return "".join(filter(str.isalnum, self.text)).casefold()


@dataclass(frozen=True, slots=True)
class _Pair:
    """The same word, heard in both windows: indexes into the words of the earlier and of the later one."""

    earlier: int
    later: int


class Stitcher:
    """Takes the windows of one source in order. What it returns is monotone and does not overlap in time."""

    def __init__(self) -> None:
        self._pending: list[Segment] = []  # heard, but the next window has a say
        self._end_ms = 0  # of what was returned

    def push(self, span: WindowSpan, heard: WindowTranscript) -> tuple[Segment, ...]:
        """The segments that this window settles, in absolute time."""
        segments = [_inside(segment.shifted(span.start_ms), span) for segment in heard.segments]
        if span.overlap_before_ms:
            seam = (span.start_ms, span.start_ms + span.overlap_before_ms)
            segments = _joined(_pieces(self._pending), _pieces(segments), *seam)
        else:
            segments = self._pending + segments
        num_settled = len(segments)
        if span.overlap_after_ms:
            settled_ms = span.end_ms - span.overlap_after_ms - MAX_DRIFT_MS
            num_settled = next((i for i, segment in enumerate(segments) if segment.end_ms > settled_ms), num_settled)
        self._pending = segments[num_settled:]
        return self._in_order(segments[:num_settled])

    def finish(self) -> tuple[Segment, ...]:
        """What still waited for a window that never came."""
        segments, self._pending = self._pending, []
        return self._in_order(segments)

    def _in_order(self, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        ordered = []
        for segment in segments:
            start_ms = max(segment.start_ms, self._end_ms)
            self._end_ms = max(segment.end_ms, start_ms)
            ordered.append(_clipped(segment, start_ms, self._end_ms))
        return tuple(ordered)


def _inside(segment: Segment, span: WindowSpan) -> Segment:
    """Models may place the end of the last segment behind the end of a short window."""
    return _clipped(segment, min(segment.start_ms, span.end_ms), min(segment.end_ms, span.end_ms))


def _clipped(segment: Segment, start_ms: int, end_ms: int) -> Segment:
    """The segment with other times, its words inside them."""
    words = (
        replace(
            word, start_ms=min(max(word.start_ms, start_ms), end_ms), end_ms=min(max(word.end_ms, start_ms), end_ms)
        )
        for word in segment.words
    )
    return replace(segment, start_ms=start_ms, end_ms=end_ms, words=tuple(words))


def _joined(earlier: list[_Piece], later: list[_Piece], begin_ms: int, end_ms: int) -> list[Segment]:
    """The segments of two windows that both heard the time from begin_ms to end_ms."""
    middle_ms = (begin_ms + end_ms) // 2
    pairs = _agreement(earlier, later, begin_ms, end_ms)
    if pairs:
        known = frozenset(pairs)
        best = min(pairs, key=lambda pair: _distance_ms(pair, known, earlier, later, middle_ms))
        num_kept, first_kept = best.earlier + 1, best.later + 1
    else:
        seam_ms = middle_ms
        if not any(begin_ms <= word.middle_ms < middle_ms for word in earlier):
            seam_ms = begin_ms  # where only one window heard something, it is believed
        elif not any(middle_ms <= word.middle_ms < end_ms for word in later):
            seam_ms = end_ms
        num_kept = len(earlier) if seam_ms == end_ms else sum(word.middle_ms < seam_ms for word in earlier)
        first_kept = sum(word.middle_ms < seam_ms for word in later)
    return _segments([*earlier[:num_kept], *later[first_kept:]])


def _agreement(earlier: list[_Piece], later: list[_Piece], begin_ms: int, end_ms: int) -> list[_Pair]:
    """The pairs of equal words, in order in both windows, that are worth most together (an alignment by weight)."""
    left = [i for i, word in enumerate(earlier) if word.middle_ms >= begin_ms - MAX_DRIFT_MS]
    right = [j for j, word in enumerate(later) if word.middle_ms <= end_ms + MAX_DRIFT_MS]
    worth = _worths([earlier[i] for i in left], [later[j] for j in right])
    best = np.zeros((len(left) + 1, len(right) + 1))  # of the words from i and from j on
    for i in reversed(range(len(left))):
        without_next = np.maximum(best[i + 1, :-1], worth[i] + best[i + 1, 1:])
        best[i, :-1] = np.maximum.accumulate(without_next[::-1])[::-1]
    pairs = []
    i = j = 0
    while i < len(left) and j < len(right):
        if worth[i, j] > 0 and best[i, j] == worth[i, j] + best[i + 1, j + 1]:
            pairs.append(_Pair(left[i], right[j]))
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            i += 1
        else:
            j += 1
    return pairs


def _worths(left: list[_Piece], right: list[_Piece]) -> NDArray[np.float64]:
    """(len(left), len(right)) what it is worth to take two words for the same; 0 where that makes no sense."""
    left_keys, right_keys = [word.key for word in left], [word.key for word in right]
    left_counts, right_counts = Counter(left_keys), Counter(right_keys)
    rare = {key for key in left_counts if key and left_counts[key] == right_counts[key] == 1}
    right_by_key = dict(zip(right_keys, right, strict=True))
    drifts = [
        word.middle_ms - right_by_key[key].middle_ms for word, key in zip(left, left_keys, strict=True) if key in rare
    ]
    drifts = [drift for drift in drifts if abs(drift) <= MAX_DRIFT_MS]
    drift_ms = median(drifts) if len(drifts) > 1 else 0  # of all times of one window against those of the other

    numbers = {key: number for number, key in enumerate({*left_keys, *right_keys})}
    is_same = np.equal.outer([numbers[key] for key in left_keys], [numbers[key] for key in right_keys])
    apart_ms = np.subtract.outer([word.middle_ms for word in left], [word.middle_ms for word in right])
    is_word = np.array([key != "" for key in left_keys], bool)[:, None]
    is_rare = np.array([key in rare for key in left_keys], bool)[:, None]
    common = np.maximum(0.0, 1.0 - ((apart_ms - drift_ms) / COMMON_WORD_MS) ** 2)
    return np.where(is_same & is_word & (np.abs(apart_ms) <= MAX_DRIFT_MS), np.where(is_rare, 1.0, common), 0.0)


def _distance_ms(
    pair: _Pair, pairs: frozenset[_Pair], earlier: list[_Piece], later: list[_Piece], middle_ms: int
) -> float:
    """How far an agreement is from the middle of the overlap."""
    neighbours = (_Pair(pair.earlier - 1, pair.later - 1), _Pair(pair.earlier + 1, pair.later + 1))
    penalty_ms = 0 if any(neighbour in pairs for neighbour in neighbours) else ISOLATED_MS
    time_ms = (earlier[pair.earlier].middle_ms + later[pair.later].middle_ms) / 2
    return abs(time_ms - middle_ms) + penalty_ms


def _pieces(segments: Sequence[Segment]) -> list[_Piece]:
    return [
        piece for segment in segments for source in segment.words or (segment,) for piece in _pieces_of(segment, source)
    ]


def _pieces_of(segment: Segment, source: Word | Segment) -> list[_Piece]:
    texts = _PIECE.findall(source.text) or [source.text]
    texts[-1] += source.text[sum(map(len, texts)) :]
    duration_ms, num_chars = source.end_ms - source.start_ms, max(1, len(source.text))
    edges = [source.start_ms + duration_ms * length // num_chars for length in accumulate(map(len, texts), initial=0)]
    return [_Piece(segment, source, text, *times) for text, times in zip(texts, pairwise(edges), strict=True)]


def _segments(kept: Sequence[_Piece]) -> list[Segment]:
    """The segments of the pieces that are kept: whole, or what is left of them."""
    segments = []
    for _, group in groupby(kept, key=lambda piece: id(piece.segment)):
        pieces = list(group)
        segment, text = pieces[0].segment, _text(pieces)
        if text != segment.text:
            words = _kept_words(pieces) if segment.words else ()
            segment = Segment(pieces[0].start_ms, pieces[-1].end_ms, text, words, segment.quality)
        segments.append(segment)
    return segments


def _kept_words(kept: Sequence[_Piece]) -> tuple[Word, ...]:
    words = []
    for _, group in groupby(kept, key=lambda piece: id(piece.source)):
        pieces = list(group)
        word, text = pieces[0].source, _text(pieces)
        if isinstance(word, Word):
            is_whole = text == word.text
            words.append(word if is_whole else Word(pieces[0].start_ms, pieces[-1].end_ms, text, word.probability))
    return tuple(words)


def _text(pieces: Sequence[_Piece]) -> str:
    return "".join(piece.text for piece in pieces)
