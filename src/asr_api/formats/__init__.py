"""Floor 1: transcript formats (text, JSON, SRT, WebVTT), and the table of them for the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from asr_api.formats.json import detailed_json
from asr_api.formats.subtitles import srt, vtt
from asr_api.transcript import Transcript


def text(transcript: Transcript) -> str:
    """One line; empty for silence."""
    words = " ".join(transcript.text.split())
    return f"{words}\n" if words else ""


Write = Callable[[Transcript], str]
"""Returns the whole body, which ends in a newline unless it is empty."""
FORMATS: Mapping[str, Write] = MappingProxyType({"text": text, "json": detailed_json, "srt": srt, "vtt": vtt})
