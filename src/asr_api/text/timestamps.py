"""Token ids of one window → timed segments.

A stamp closes the text before it and opens the text after it; Whisper writes two in a row, one for each. Out come
segments in integer milliseconds, in order and inside the audio. Knows nothing about how tokens were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr_api.transcript import Segment

STAMP_MS = 20


@dataclass(frozen=True, slots=True)
class ClosedPart:
    """The tokens up to the last closing stamp, and when the text in them ends."""

    num_tokens: int
    end_ms: int


def segments_of(
    tokens: Sequence[int], stamp_begin: int, audio_ms: int, decode: Callable[[Sequence[int]], str]
) -> tuple[Segment, ...]:
    """Segments of a window's sampled tokens; text without a closing stamp runs to the end of the audio.

    stamp_begin: id of <|0.00|>
    audio_ms:    length of what was heard, not of the padded window; no time exceeds it
    decode:      ids of text to text
    """
    segments: list[Segment] = []
    start_ms, text = 0, list[int]()

    def close(end_ms: int) -> None:
        words = decode(text)
        if words.strip():
            segments.append(Segment(min(start_ms, end_ms), end_ms, words))
        text.clear()

    for token in tokens:
        if token < stamp_begin:
            text.append(token)
            continue
        stamp_ms = min((token - stamp_begin) * STAMP_MS, audio_ms)
        close(stamp_ms)
        start_ms = stamp_ms
    close(audio_ms)
    return tuple(segments)


def closed_part(tokens: Sequence[int], stamp_begin: int) -> ClosedPart | None:
    """What of an unfinished window is final: everything up to the last stamp that closes text."""
    for index in range(len(tokens) - 1, 0, -1):
        if tokens[index] >= stamp_begin > tokens[index - 1]:
            return ClosedPart(index + 1, (tokens[index] - stamp_begin) * STAMP_MS)
    return None
