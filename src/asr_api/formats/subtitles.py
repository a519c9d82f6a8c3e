"""Transcript → subtitles: SRT and WebVTT of cues, and the table of segments (TSV) that Whisper's own program writes.

Text that would end a cue or start markup is escaped: arrows, and in WebVTT `&` and `<`. No line of a cue is empty.
"""

from __future__ import annotations

from collections.abc import Iterable

from asr_api.formats.cues import Cue, cues
from asr_api.options import SubtitleOptions
from asr_api.transcript import Segment, Transcript

ARROW = "-->"


def srt(transcript: Transcript, options: SubtitleOptions) -> str:
    return srt_of(cues(transcript, options))


def vtt(transcript: Transcript, options: SubtitleOptions) -> str:
    return vtt_of(cues(transcript, options))


def srt_of(found: Iterable[Cue], first_number: int = 1) -> str:
    numbered = enumerate(found, start=first_number)
    return "".join(f"{number}\n{_times(cue, ',')}\n{_text(cue).replace(ARROW, '→')}\n\n" for number, cue in numbered)


def vtt_of(found: Iterable[Cue]) -> str:
    return "WEBVTT\n\n" + "".join(f"{_times(cue, '.')}\n{_escape(_text(cue))}\n\n" for cue in found)


def tsv(transcript: Transcript) -> str:
    """A header and a row for each segment: its times in milliseconds and its text, in which tabs become blanks."""
    return "start\tend\ttext\n" + "".join(map(_row, transcript.segments))


def _row(segment: Segment) -> str:
    return f"{segment.start_ms}\t{segment.end_ms}\t{' '.join(segment.text.split())}\n"


def _text(cue: Cue) -> str:
    return "\n".join(cue.lines)


def _times(cue: Cue, mark: str) -> str:
    return f"{_clock(cue.start_ms, mark)} {ARROW} {_clock(cue.end_ms, mark)}"


def _clock(time_ms: int, mark: str) -> str:
    """`00:00:01,500`; the mark before the milliseconds is SRT's comma or WebVTT's full stop."""
    seconds, ms = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{ms:03}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
