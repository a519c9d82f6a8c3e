"""Previous-text conditioning: the text of earlier windows that a window is given (CONDITION_ON_PREVIOUS_TEXT)."""

from __future__ import annotations

from asr_api.transcript import WindowSpan, WindowTranscript

MAX_CHARS = 1000  # more than the 223 tokens that a Whisper prompt holds
MAX_TEMPERATURE = 0.5  # text sampled above it may be nonsense, which the next window would continue


def next_previous_text(previous_text: str, transcript: WindowTranscript, span: WindowSpan) -> str:
    """The text so far, for the window after this one; empty when the text of this window is not reliable."""
    qualities = [segment.quality for segment in transcript.segments if segment.quality is not None]
    if any(quality.doubts or quality.temperature > MAX_TEMPERATURE for quality in qualities):
        return ""
    own_ms = span.end_ms - span.start_ms - span.overlap_after_ms
    # The overlap is transcribed again with the next window.
    text = previous_text + "".join(segment.text for segment in transcript.segments if segment.end_ms <= own_ms)
    if len(text) <= MAX_CHARS:
        return text
    tail = text[-MAX_CHARS:]
    _, space, words = tail.partition(" ")
    return words if space else tail  # languages without spaces may be cut anywhere
