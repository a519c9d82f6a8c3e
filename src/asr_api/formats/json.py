"""Transcript → JSON: the body of `POST /asr`, as the original asr-api wrote it, and a fuller one for the CLI.

Seconds are numbers with millisecond precision, and no time is ever null. Knows nothing about HTTP.
"""

from __future__ import annotations

import json

from asr_api.transcript import Transcript


def asr_json(transcript: Transcript) -> str:
    """`{"text", "chunks": [{"timestamp": [start_s, end_s], "text"}]}`; texts keep their leading spaces."""
    chunks = [
        {"timestamp": [seconds(segment.start_ms), seconds(segment.end_ms)], "text": segment.text}
        for segment in transcript.segments
    ]
    return json.dumps({"text": transcript.text, "chunks": chunks}, ensure_ascii=False)


def detailed_json(transcript: Transcript) -> str:
    """One line: `{"text", "language", "duration", "segments": [{"start", "end", "text"}]}`."""
    body = {
        "text": transcript.text.strip(),
        "language": transcript.language,
        "duration": seconds(transcript.audio_ms),
        "segments": [
            {"start": seconds(segment.start_ms), "end": seconds(segment.end_ms), "text": segment.text.strip()}
            for segment in transcript.segments
        ],
    }
    if transcript.is_truncated:
        body["truncated"] = True
    return json.dumps(body, ensure_ascii=False) + "\n"


def seconds(time_ms: int) -> float:
    """The float that prints with at most three decimals; exact, because it is the one nearest to time_ms / 1000."""
    return time_ms / 1000
