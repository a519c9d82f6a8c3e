"""Transcript → plain text on one line."""

from __future__ import annotations

from asr_api.transcript import Transcript


def text(transcript: Transcript) -> str:
    """Ends in a newline; empty for silence."""
    words = " ".join(transcript.text.split())
    return f"{words}\n" if words else ""
