"""Every format has the whole text with its times, and JSON has all that is known about it."""

from __future__ import annotations

import json

import pytest

from asr_api.formats import FORMATS
from asr_api.formats.json import asr_json
from asr_api.options import SubtitleOptions
from asr_api.transcript import Quality, Segment, Transcript, Word
from tests.formats.transcripts import transcript

STEP_MS = 20
TIMESTAMPS_MS = [position * STEP_MS for position in range(1501)]


def written(name: str, spoken: Transcript) -> str:
    return FORMATS[name](spoken, SubtitleOptions())


def test_every_whisper_timestamp_survives_json() -> None:
    spoken = transcript(*(Segment(time, time + STEP_MS, f" w{time}") for time in TIMESTAMPS_MS))
    chunks = json.loads(asr_json(spoken))["chunks"]
    assert [chunk["timestamp"] for chunk in chunks] == [[t / 1000, (t + STEP_MS) / 1000] for t in TIMESTAMPS_MS]
    assert "0000" not in asr_json(transcript(Segment(1001, 1007, "x")))


def test_silence_is_empty_everywhere() -> None:
    silence = Transcript((), audio_ms=10_000)
    assert json.loads(asr_json(silence)) == {"text": "", "chunks": []}
    bodies = [written(name, silence) for name in ("text", "srt", "vtt", "tsv")]
    assert bodies == ["", "", "WEBVTT\n\n", "start\tend\ttext\n"]


@pytest.mark.parametrize("name", FORMATS)
def test_hours_and_text_are_written_whole(name: str) -> None:
    spoken = transcript(Segment(0, 1500, " Hello,"), Segment(360_000_000, 360_000_001, " world & <all>."))
    body = written(name, spoken)
    expected = {
        "text": "Hello, world & <all>.\n",
        "json": '"end": 360000.001, "text": "world & <all>."',
        "srt": "2\n100:00:00,000 --> 100:00:00,001\nworld & <all>.\n",
        "vtt": "100:00:00.000 --> 100:00:00.001\nworld &amp; &lt;all&gt;.\n",
        "tsv": "0\t1500\tHello,\n360000000\t360000001\tworld & <all>.\n",
    }
    assert expected[name] in body


WORDS = (Word(0, 480, " Hello,", 0.98765), Word(480, 1500, " world.", 1.0))
INVENTED = Segment(5000, 6000, " Thank you.", quality=Quality(no_speech_probability=0.9, doubts=("no_speech",)))


def test_words_and_quality_are_in_the_json() -> None:
    quality = Quality(0.2, -0.51239, 1.23456, 0.01234, ("repetition", "low_confidence"))
    spoken = Transcript((Segment(0, 1500, " Hello, world.", WORDS, quality),), 10_000, "en", omitted=(INVENTED,))
    doubts = ["repetition", "low_confidence"]
    words = [
        {"timestamp": [0.0, 0.48], "text": " Hello,", "probability": 0.988},
        {"timestamp": [0.48, 1.5], "text": " world.", "probability": 1.0},
    ]
    chunk = {"timestamp": [0.0, 1.5], "text": " Hello, world.", "words": words, "doubts": doubts}
    omitted = {"timestamp": [5.0, 6.0], "text": " Thank you.", "reasons": ["no_speech"]}
    assert json.loads(asr_json(spoken)) == {"text": " Hello, world.", "chunks": [chunk], "omitted": [omitted]}
    hello = {"word": "Hello,", "start": 0.0, "end": 0.48, "probability": 0.988}
    world = {"word": "world.", "start": 0.48, "end": 1.5, "probability": 1.0}
    figures = {"temperature": 0.2, "avg_logprob": -0.5124, "compression_ratio": 1.235, "no_speech_prob": 0.0123}
    segment: dict[str, object] = {"start": 0.0, "end": 1.5, "text": "Hello, world.", "words": [hello, world], **figures}
    invented = {"start": 5.0, "end": 6.0, "text": "Thank you.", "reasons": ["no_speech"]}
    whole = {"text": "Hello, world.", "language": "en", "duration": 10.0}
    expected = {**whole, "segments": [segment | {"doubts": doubts}], "omitted": [invented]}
    assert json.loads(written("json", spoken)) == expected


def test_absent_values_have_no_key() -> None:
    """Clients of the original /asr see its two keys, and chunks with two."""
    spoken = transcript(Segment(0, 1500, " Hello.", quality=Quality(mean_logprob=-0.2)))
    chunk = {"timestamp": [0.0, 1.5], "text": " Hello."}
    assert json.loads(asr_json(spoken)) == {"text": " Hello.", "chunks": [chunk]}
    (segment,) = json.loads(written("json", transcript(Segment(0, 1500, " Hello."))))["segments"]
    assert segment == {"start": 0.0, "end": 1.5, "text": "Hello."}
    (segment,) = json.loads(written("json", transcript(Segment(0, 1500, " Hello.", quality=Quality()))))["segments"]
    assert segment.keys() == {"start", "end", "text", "temperature", "compression_ratio"}


@pytest.mark.parametrize("name", ["text", "srt", "vtt", "tsv"])
def test_omitted_text_and_words_are_in_json_only(name: str) -> None:
    plain = Transcript((Segment(0, 1500, " Hello, world."),), 10_000)
    full = Transcript((Segment(0, 1500, " Hello, world.", WORDS, Quality()),), 10_000, omitted=(INVENTED,))
    assert written(name, full) == written(name, plain)
