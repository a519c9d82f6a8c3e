"""Token ids of one window → spans of tokens → timed segments.

A stamp closes the text before it and opens the text after it; Whisper writes two in a row, one for each. Out come
segments in integer milliseconds, in order and inside the audio. Knows nothing about how tokens were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr_api.transcript import Segment

TIMESTAMP_MS = 20


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """The tokens of one segment: of text only, with their log-probabilities; times relative to the window."""

    start_ms: int
    end_ms: int
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ClosedPart:
    """The tokens up to the last closing stamp, and when the text in them ends."""

    num_tokens: int
    end_ms: int


def spans_of(
    tokens: Sequence[int], logprobs: Sequence[float], timestamp_begin: int, audio_ms: int
) -> tuple[TokenSpan, ...]:
    """A window's sampled tokens, cut at the stamps; text without a closing stamp runs to the end of the audio.

    logprobs:    of each token
    timestamp_begin: id of <|0.00|>
    audio_ms:    length of what was heard, not of the padded window; no time exceeds it
    """
    spans: list[TokenSpan] = []
    start_ms, first = 0, 0
    for index, token in enumerate([*tokens, timestamp_begin + audio_ms]):  # the last: later than any stamp that counts
        if token < timestamp_begin:
            continue
        timestamp_ms = min((token - timestamp_begin) * TIMESTAMP_MS, audio_ms)
        if index > first:
            start_ms = min(start_ms, timestamp_ms)
            spans.append(TokenSpan(start_ms, timestamp_ms, tuple(tokens[first:index]), tuple(logprobs[first:index])))
        start_ms, first = timestamp_ms, index + 1
    return tuple(spans)


def segments_of(spans: Sequence[TokenSpan], decode: Callable[[Sequence[int]], str]) -> tuple[Segment, ...]:
    """One segment for each span that has more than blanks. decode: ids of text to text"""
    segments = (Segment(span.start_ms, span.end_ms, decode(span.tokens)) for span in spans)
    return tuple(segment for segment in segments if segment.text.strip())


def closed_part(tokens: Sequence[int], timestamp_begin: int) -> ClosedPart | None:
    """What of an unfinished window is final: everything up to the last stamp that closes text."""
    for index in range(len(tokens) - 1, 0, -1):
        if tokens[index] >= timestamp_begin > tokens[index - 1]:
            return ClosedPart(index + 1, (tokens[index] - timestamp_begin) * TIMESTAMP_MS)
    return None
