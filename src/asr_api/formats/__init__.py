"""Floor 1: transcript formats (text, JSON, SRT, WebVTT), and the table of them for the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from asr_api.formats.json import detailed_json
from asr_api.formats.subtitles import srt, vtt
from asr_api.formats.text import text
from asr_api.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Format:
    """One format. write: returns the whole body, which ends in a newline unless it is empty"""

    name: str
    media_type: str
    write: Callable[[Transcript], str]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "text": Format("text", "text/plain; charset=utf-8", text),
        "json": Format("json", "application/json", detailed_json),
        "srt": Format("srt", "application/x-subrip; charset=utf-8", srt),
        "vtt": Format("vtt", "text/vtt; charset=utf-8", vtt),
    }
)
