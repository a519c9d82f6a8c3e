"""Transcript → plain text, one line: what a pipe wants. Knows nothing about times."""

from __future__ import annotations

from asr_api.transcript import Transcript


def text(transcript: Transcript) -> str:
    """The words on one line; nothing for silence."""
    words = " ".join(transcript.text.split())
    return f"{words}\n" if words else ""
