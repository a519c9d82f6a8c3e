"""The formats of Whisper's own programs: a line for each segment, and JSON with all their keys."""

from __future__ import annotations

import json
from dataclasses import replace

from asr_api.formats.whisper_program import text_lines, whisper_json
from asr_api.transcript import Quality, Segment, Transcript, Word

WORDS = (Word(0, 480, " Hello,", 0.98765), Word(480, 1500, " wörld.", 1.0))
FIRST = Segment(0, 1500, " Hello, wörld.", WORDS, Quality(0.2, -0.51239, 1.23456, 0.01234), tokens=(7, 8))
SECOND = Segment(2000, 3000, " Again\n\tand again.", start_token=100, end_token=150)
SPOKEN = Transcript((replace(FIRST, seek_ms=60), SECOND), 3000, "en")
SEGMENT_KEYS = {
    "id", "seek", "start", "end", "text", "tokens", "avg_logprob", "compression_ratio", "no_speech_prob", "words",
    "temperature",
}  # fmt: skip


def test_each_segment_is_a_line() -> None:
    assert text_lines(SPOKEN) == "Hello, wörld.\nAgain and again.\n"
    assert text_lines(Transcript((), 1000)) == ""


def test_json_has_the_keys_of_both_programs() -> None:
    body = json.loads(whisper_json(SPOKEN, has_words=True))
    assert set(body) == {"language", "segments", "text"}
    assert (body["language"], body["text"]) == ("en", " Hello, wörld. Again\n\tand again.")
    first, second = body["segments"]
    assert set(first) == set(second) == SEGMENT_KEYS
    assert (first["id"], second["id"], first["seek"], first["tokens"], second["tokens"]) == (
        0,
        1,
        6,
        [7, 8],
        [100, 150],
    )
    assert first["words"] == [
        {"start": 0.0, "end": 0.48, "word": " Hello,", "probability": 0.988},
        {"start": 0.48, "end": 1.5, "word": " wörld.", "probability": 1.0},
    ]


def test_words_are_null_unless_they_were_asked_for() -> None:
    body = json.loads(whisper_json(SPOKEN, has_words=False))
    assert [segment["words"] for segment in body["segments"]] == [None, None]


def test_json_of_silence_has_no_segments() -> None:
    assert json.loads(whisper_json(Transcript((), 1000), has_words=True)) == {
        "language": None, "segments": [], "text": "",
    }  # fmt: skip
