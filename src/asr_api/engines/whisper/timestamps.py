"""Timestamp tokens: cuts the sampled tokens of a window into timed segments, and finds where the next window begins.

A timestamp closes the text before it and opens the text after it; Whisper emits two in a row between segments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr_api.engines.whisper.config import POSITION_MS
from asr_api.transcript import Segment

MIN_PROGRESS_MS = 1000  # a window is not resumed before
MIN_REST_MS = 100  # a shorter rest of a window holds no word


@dataclass(frozen=True, slots=True)
class ClosedPart:
    """The first tokens of a window, whose text ends at a timestamp."""

    num_tokens: int
    end_ms: int


def segments_of(
    tokens: Sequence[int],
    logprobs: Sequence[float],
    *,
    timestamps: range,
    audio_ms: int,
    decode: Callable[[Sequence[int]], str],
) -> tuple[Segment, ...]:
    """A window's sampled tokens, cut at the timestamps; text without a closing timestamp runs to the end of the audio.

    Segments are in order and inside the audio; those of nothing but blanks are left out.

    timestamps: ids of the timestamp tokens
    audio_ms:   length of the audio, not of the padded window; no time exceeds it
    """
    segments: list[Segment] = []
    start_ms, first, start_token = 0, 0, None
    for index, token in enumerate([*tokens, None]):  # the last: the end of the audio
        if token is not None and token not in timestamps:
            continue
        timestamp_ms = audio_ms if token is None else min((token - timestamps.start) * POSITION_MS, audio_ms)
        text_tokens = tuple(tokens[first:index])
        if text_tokens:
            start_ms = min(start_ms, timestamp_ms)
            text, text_logprobs = decode(text_tokens), tuple(logprobs[first:index])
            segments.append(
                Segment(
                    start_ms,
                    timestamp_ms,
                    text,
                    tokens=text_tokens,
                    logprobs=text_logprobs,
                    start_token=start_token,
                    end_token=token,
                )
            )
        start_ms, first, start_token = timestamp_ms, index + 1, token
    return tuple(segment for segment in segments if segment.text.strip())


def closed_part(tokens: Sequence[int], timestamps: range) -> ClosedPart | None:
    """The final part of an unfinished window: everything up to the last timestamp that closes text."""
    for index in range(len(tokens) - 1, 0, -1):
        if tokens[index] in timestamps and tokens[index - 1] not in timestamps:
            return ClosedPart(index + 1, (tokens[index] - timestamps.start) * POSITION_MS)
    return None


def next_window(tokens: Sequence[int], timestamps: range) -> ClosedPart | None:
    """Where the next window begins, by OpenAI's rule; None where the text covers the window.

    Text behind the last two timestamps in a row has no end in this window: it belongs to the next one, which begins at
    the first of them, where the text before them ends. A single timestamp at the end says that nothing follows in the
    window.

    tokens: of text, and timestamps
    """
    is_single = len(tokens) > 1 and tokens[-1] in timestamps and tokens[-2] not in timestamps
    for index in range(len(tokens) - 1, 0, -1):
        if not is_single and tokens[index] in timestamps and tokens[index - 1] in timestamps:
            return ClosedPart(index, (tokens[index - 1] - timestamps.start) * POSITION_MS)
    return None
