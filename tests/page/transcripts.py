"""Transcripts as the page keeps them, for "Import"."""

from __future__ import annotations

import random
from typing import Any

WORDS = "the quick brown fox jumps over a lazy dog while seven stars shine above hills".split()  # noqa: SIM905


def stored_transcript(*, num_segments: int = 5, segment_ms: int = 4000, words_per_segment: int = 10) -> dict[str, Any]:
    """Random words, evenly timed; every tenth one is doubtful."""
    generator = random.Random(num_segments)
    word_ms = segment_ms // words_per_segment
    segments = []
    for start_ms in range(0, num_segments * segment_ms, segment_ms):
        words = [
            {
                "startMs": start_ms + position * word_ms,
                "endMs": start_ms + (position + 1) * word_ms,
                "text": f" {generator.choice(WORDS)}",
                "probability": 0.2 if generator.random() < 0.1 else 0.9,
            }
            for position in range(words_per_segment)
        ]
        text = "".join(str(word["text"]) for word in words)
        end_ms = start_ms + segment_ms
        timed = {"startMs": start_ms, "endMs": end_ms, "text": text, "words": words}
        segments.append({**timed, "doubts": [], "speaker": None, "omitted": None})
    return {
        "id": f"random-{num_segments}",
        "version": 0,
        "title": f"{num_segments} passages",
        "fileName": "random.wav",
        "createdMs": 1_790_000_000_000,
        "changedMs": 1_790_000_000_000,
        "audioMs": num_segments * segment_ms,
        "language": "en",
        "languageName": "english",
        "task": "transcribe",
        "state": "complete",
        "note": "",
        "segments": segments,
    }
