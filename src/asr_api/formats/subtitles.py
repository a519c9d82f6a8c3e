"""Transcript → subtitles: SRT and WebVTT.

With word timestamps a cue lasts from the first word to the last, as in Whisper's own tools. Text that would end a cue
or start markup is escaped: blank lines, arrows, and in WebVTT `&` and `<`.
"""

from __future__ import annotations

from collections.abc import Iterator

from asr_api.transcript import Segment, Transcript

ARROW = "-->"


def srt(transcript: Transcript) -> str:
    cues = enumerate(_cues(transcript), start=1)
    return "".join(f"{number}\n{_times(cue, ',')}\n{cue.text.replace(ARROW, '→')}\n\n" for number, cue in cues)


def vtt(transcript: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(f"{_times(cue, '.')}\n{_escape(cue.text)}\n\n" for cue in _cues(transcript))


def _cues(transcript: Transcript) -> Iterator[Segment]:
    """Segments on one line, not empty, and at least a millisecond long, as players need them."""
    for segment in transcript.segments:
        if text := " ".join(segment.text.split()):
            timed = segment.words or (segment,)
            start_ms = timed[0].start_ms
            yield Segment(start_ms, max(timed[-1].end_ms, start_ms + 1), text)


def _times(cue: Segment, mark: str) -> str:
    return f"{_clock(cue.start_ms, mark)} {ARROW} {_clock(cue.end_ms, mark)}"


def _clock(time_ms: int, mark: str) -> str:
    """`00:00:01,500`; the mark before the milliseconds is SRT's comma or WebVTT's full stop."""
    seconds, ms = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{ms:03}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
