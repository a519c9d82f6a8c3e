"""Floor 1: transcript formats (text, JSON, SRT, WebVTT, TSV), and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from asr_api.formats.json import detailed_json
from asr_api.formats.subtitles import srt, tsv, vtt
from asr_api.options import SubtitleOptions
from asr_api.transcript import Transcript


def text(transcript: Transcript) -> str:
    """One line; empty for silence."""
    words = " ".join(transcript.text.split())
    return f"{words}\n" if words else ""


Write = Callable[[Transcript, SubtitleOptions], str]
"""Returns the whole body, which ends in a newline unless it is empty. Formats without cues ignore the options."""
FORMATS: Mapping[str, Write] = MappingProxyType(
    {
        "text": lambda transcript, _: text(transcript),
        "json": lambda transcript, _: detailed_json(transcript),
        "srt": srt,
        "vtt": vtt,
        "tsv": lambda transcript, _: tsv(transcript),
    }
)
