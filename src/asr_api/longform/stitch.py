"""Stitching: overlapping window transcripts → segments in absolute time, each word once, none twice.

At a quiet cut there is nothing to decide. Where windows overlap, the words on which both agree, in text and in time,
show how the two fit together; the seam is placed at the agreement nearest to the middle of the overlap, where both are
far from their edges.
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
# Two equal words that are common in the overlap weigh less the farther apart they are, and nothing at this distance,
# so that "no no no" is not paired one "no" off. Of 300 to 1,000 ms, in a simulation with
# times off by up to 200 ms, 700 to 800 lost the fewest words (digits: none in 1,200 seams).
COMMON_WORD_MS = 750
ISOLATED_MS = 1500  # an agreement whose neighbours disagree counts as if it were this much farther from the middle

_UNIT = re.compile(rf"\s*(?:[{UNSPACED}]|[^\s{UNSPACED}]+)")


@dataclass(frozen=True, slots=True)
class _TextUnit:
    """A word of a segment, or a character in scripts without spaces; it is kept or dropped as a whole.

    source: the timed word, or without word timestamps the segment, that contains it; its times are interpolated in it
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
    """The same word in both windows: indexes into the words of the earlier and of the later one."""

    earlier: int
    later: int


class Stitcher:
    """Takes the windows of one recording in order. The segments it returns are monotone and do not overlap in time."""

    def __init__(self) -> None:
        self._pending: list[Segment] = []  # not final: they reach into the overlap with the next window
        self._end_ms = 0  # of what was returned

    def push(self, span: WindowSpan, transcript: WindowTranscript) -> tuple[Segment, ...]:
        """The segments that are final with this window, in absolute time."""
        segments = [_inside(segment.shifted(span.start_ms), span) for segment in transcript.segments]
        if span.overlap_before_ms:
            seam = (span.start_ms, span.start_ms + span.overlap_before_ms)
            segments = _merge(_text_units(self._pending), _text_units(segments), *seam)
        else:
            segments = self._pending + segments
        num_final = len(segments)
        if span.overlap_after_ms:
            final_ms = span.end_ms - span.overlap_after_ms - MAX_DRIFT_MS
            num_final = next((i for i, segment in enumerate(segments) if segment.end_ms > final_ms), num_final)
        self._pending = segments[num_final:]
        return self._in_order(segments[:num_final])

    @property
    def pending(self) -> tuple[Segment, ...]:
        """Segments that the next window may still change, in absolute time."""
        return tuple(self._pending)

    def finish(self) -> tuple[Segment, ...]:
        """The segments that waited for a window that does not come."""
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


def _merge(earlier: list[_TextUnit], later: list[_TextUnit], begin_ms: int, end_ms: int) -> list[Segment]:
    """The segments of two windows that overlap from begin_ms to end_ms."""
    middle_ms = (begin_ms + end_ms) // 2
    pairs = _align(earlier, later, begin_ms, end_ms)
    if pairs:
        known = frozenset(pairs)
        best = min(pairs, key=lambda pair: _distance_to_middle_ms(pair, known, earlier, later, middle_ms))
        num_kept, first_kept = best.earlier + 1, best.later + 1
    else:
        seam_ms = middle_ms
        if not any(begin_ms <= word.middle_ms < middle_ms for word in earlier):
            seam_ms = begin_ms  # only one of the windows has text there: keep it
        elif not any(middle_ms <= word.middle_ms < end_ms for word in later):
            seam_ms = end_ms
        num_kept = len(earlier) if seam_ms == end_ms else sum(word.middle_ms < seam_ms for word in earlier)
        first_kept = sum(word.middle_ms < seam_ms for word in later)
    return _segments([*earlier[:num_kept], *later[first_kept:]])


def _align(earlier: list[_TextUnit], later: list[_TextUnit], begin_ms: int, end_ms: int) -> list[_Pair]:
    """The pairs of equal words, in order in both windows, with the greatest total weight (a weighted alignment)."""
    left = [i for i, word in enumerate(earlier) if word.middle_ms >= begin_ms - MAX_DRIFT_MS]
    right = [j for j, word in enumerate(later) if word.middle_ms <= end_ms + MAX_DRIFT_MS]
    weight = _pair_weights([earlier[i] for i in left], [later[j] for j in right])
    best = np.zeros((len(left) + 1, len(right) + 1))  # of the words from i and from j on
    for i in reversed(range(len(left))):
        without_next = np.maximum(best[i + 1, :-1], weight[i] + best[i + 1, 1:])
        best[i, :-1] = np.maximum.accumulate(without_next[::-1])[::-1]
    pairs = []
    i = j = 0
    while i < len(left) and j < len(right):
        if weight[i, j] > 0 and best[i, j] == weight[i, j] + best[i + 1, j + 1]:
            pairs.append(_Pair(left[i], right[j]))
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            i += 1
        else:
            j += 1
    return pairs


def _pair_weights(left: list[_TextUnit], right: list[_TextUnit]) -> NDArray[np.float64]:
    """(len(left), len(right)) weight of taking two words for the same one; 0 when they differ or lie too far apart."""
    left_keys, right_keys = [word.key for word in left], [word.key for word in right]
    left_counts, right_counts = Counter(left_keys), Counter(right_keys)
    rare = {key for key in left_counts if key and left_counts[key] == right_counts[key] == 1}
    right_by_key = dict(zip(right_keys, right, strict=True))
    drifts = [
        word.middle_ms - right_by_key[key].middle_ms for word, key in zip(left, left_keys, strict=True) if key in rare
    ]
    drifts = [drift for drift in drifts if abs(drift) <= MAX_DRIFT_MS]
    drift_ms = median(drifts) if len(drifts) > 1 else 0  # between the times of the two windows

    numbers = {key: number for number, key in enumerate({*left_keys, *right_keys})}
    is_same = np.equal.outer([numbers[key] for key in left_keys], [numbers[key] for key in right_keys])
    apart_ms = np.subtract.outer([word.middle_ms for word in left], [word.middle_ms for word in right])
    is_word = np.array([key != "" for key in left_keys], bool)[:, None]
    is_rare = np.array([key in rare for key in left_keys], bool)[:, None]
    common = np.maximum(0.0, 1.0 - ((apart_ms - drift_ms) / COMMON_WORD_MS) ** 2)
    return np.where(is_same & is_word & (np.abs(apart_ms) <= MAX_DRIFT_MS), np.where(is_rare, 1.0, common), 0.0)


def _distance_to_middle_ms(
    pair: _Pair, pairs: frozenset[_Pair], earlier: list[_TextUnit], later: list[_TextUnit], middle_ms: int
) -> float:
    """How far a pair is from the middle of the overlap."""
    neighbours = (_Pair(pair.earlier - 1, pair.later - 1), _Pair(pair.earlier + 1, pair.later + 1))
    penalty_ms = 0 if any(neighbour in pairs for neighbour in neighbours) else ISOLATED_MS
    time_ms = (earlier[pair.earlier].middle_ms + later[pair.later].middle_ms) / 2
    return abs(time_ms - middle_ms) + penalty_ms


def _text_units(segments: Sequence[Segment]) -> list[_TextUnit]:
    return [
        unit for segment in segments for source in segment.words or (segment,) for unit in _units_of(segment, source)
    ]


def _units_of(segment: Segment, source: Word | Segment) -> list[_TextUnit]:
    texts = _UNIT.findall(source.text) or [source.text]
    texts[-1] += source.text[sum(map(len, texts)) :]
    duration_ms, num_chars = source.end_ms - source.start_ms, max(1, len(source.text))
    edges = [source.start_ms + duration_ms * length // num_chars for length in accumulate(map(len, texts), initial=0)]
    return [_TextUnit(segment, source, text, *times) for text, times in zip(texts, pairwise(edges), strict=True)]


def _segments(kept: Sequence[_TextUnit]) -> list[Segment]:
    """The segments of the kept units: whole ones, and the kept parts of others."""
    segments = []
    for _, group in groupby(kept, key=lambda unit: id(unit.segment)):
        units = list(group)
        segment, text = units[0].segment, _text(units)
        if text != segment.text:
            words = _kept_words(units) if segment.words else ()
            start_ms, end_ms = units[0].start_ms, units[-1].end_ms
            segment = Segment(start_ms, end_ms, text, words, segment.quality, speaker=segment.speaker)
        segments.append(segment)
    return segments


def _kept_words(kept: Sequence[_TextUnit]) -> tuple[Word, ...]:
    words = []
    for _, group in groupby(kept, key=lambda unit: id(unit.source)):
        units = list(group)
        word, text = units[0].source, _text(units)
        if isinstance(word, Word):
            is_whole = text == word.text
            words.append(word if is_whole else Word(units[0].start_ms, units[-1].end_ms, text, word.probability))
    return tuple(words)


def _text(units: Sequence[_TextUnit]) -> str:
    return "".join(unit.text for unit in units)
