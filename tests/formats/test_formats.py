"""Subtitles and JSON are read back with other people's parsers, and nothing has moved."""

from __future__ import annotations

import json
from io import StringIO

import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st
from webvtt.models import Timestamp

from asr_api.formats import FORMATS
from asr_api.formats.json import asr_json
from asr_api.transcript import Quality, Segment, Transcript, Word

STEP_MS = 20
TIMESTAMPS_MS = [position * STEP_MS for position in range(1501)]


def transcript(*segments: Segment) -> Transcript:
    return Transcript(segments, audio_ms=segments[-1].end_ms if segments else 0)


def test_every_whisper_timestamp_survives_srt_vtt_and_json() -> None:
    said = transcript(*(Segment(time, time + STEP_MS, f" w{time}") for time in TIMESTAMPS_MS))
    for name in ("srt", "vtt"):
        cues = read_back(name, said)
        assert [(milliseconds(cue.start_time), milliseconds(cue.end_time)) for cue in cues] == [
            (time, time + STEP_MS) for time in TIMESTAMPS_MS
        ]
        assert [cue.text for cue in cues] == [f"w{time}" for time in TIMESTAMPS_MS]
    chunks = json.loads(asr_json(said))["chunks"]
    assert [chunk["timestamp"] for chunk in chunks] == [[t / 1000, (t + STEP_MS) / 1000] for t in TIMESTAMPS_MS]
    assert "0000" not in asr_json(transcript(Segment(1001, 1007, "x")))


def read_back(name: str, said: Transcript) -> list[webvtt.Caption]:
    return list(webvtt.from_buffer(StringIO(FORMATS[name].write(said)), format=name).captions)


def milliseconds(time: Timestamp) -> int:
    return ((time.hours * 60 + time.minutes) * 60 + time.seconds) * 1000 + time.milliseconds


words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).filter(str.strip)


@given(st.lists(words, min_size=1, max_size=4), st.integers(0, 400_000_000))
def test_any_text_stays_inside_its_cue(texts: list[str], start_ms: int) -> None:
    said = transcript(*(Segment(start_ms + n, start_ms + n, f" {text} --> \n\n1\n") for n, text in enumerate(texts)))
    cues = read_back("srt", said)
    assert [cue.raw_text for cue in cues] == [" ".join(f"{text} --> 1".replace("-->", "→").split()) for text in texts]
    assert all(milliseconds(cue.end_time) > milliseconds(cue.start_time) for cue in cues)
    blocks = FORMATS["vtt"].write(said).split("\n\n")
    assert blocks[0] == "WEBVTT"
    assert len(blocks) == len(texts) + 2
    assert all(block.count("-->") == 1 and block.count("<") == 0 for block in blocks[1:-1])


def test_silence_is_empty_everywhere() -> None:
    silence = Transcript((), audio_ms=10_000)
    assert json.loads(asr_json(silence)) == {"text": "", "chunks": []}
    assert FORMATS["text"].write(silence) == ""
    assert FORMATS["srt"].write(silence) == ""
    assert FORMATS["vtt"].write(silence) == "WEBVTT\n\n"


@pytest.mark.parametrize("name", FORMATS)
def test_hours_and_text_are_written_whole(name: str) -> None:
    said = transcript(Segment(0, 1500, " Hello,"), Segment(360_000_000, 360_000_001, " world & <all>."))
    body = FORMATS[name].write(said)
    expected = {
        "text": "Hello, world & <all>.\n",
        "json": '"end": 360000.001, "text": "world & <all>."',
        "srt": "2\n100:00:00,000 --> 100:00:00,001\nworld & <all>.\n",
        "vtt": "100:00:00.000 --> 100:00:00.001\nworld &amp; &lt;all&gt;.\n",
    }
    assert expected[name] in body


WORDS = (Word(0, 480, " Hello,", 0.98765), Word(480, 1500, " world.", 1.0))
INVENTED = Segment(5000, 6000, " Thank you.", quality=Quality(no_speech_probability=0.9, doubts=("no_speech",)))


def test_what_is_known_about_a_text_stands_beside_it() -> None:
    quality = Quality(0.2, -0.51239, 1.23456, 0.01234, ("repetition", "low_confidence"))
    said = Transcript((Segment(0, 1500, " Hello, world.", WORDS, quality),), 10_000, "en", omitted=(INVENTED,))
    assert json.loads(asr_json(said)) == {
        "text": " Hello, world.",
        "chunks": [
            {
                "timestamp": [0.0, 1.5],
                "text": " Hello, world.",
                "words": [
                    {"timestamp": [0.0, 0.48], "text": " Hello,"},
                    {"timestamp": [0.48, 1.5], "text": " world."},
                ],
                "doubts": ["repetition", "low_confidence"],
            }
        ],
        "omitted": [{"timestamp": [5.0, 6.0], "text": " Thank you.", "reasons": ["no_speech"]}],
    }
    assert json.loads(FORMATS["json"].write(said)) == {
        "text": "Hello, world.",
        "language": "en",
        "duration": 10.0,
        "segments": [
            {
                "start": 0.0,
                "end": 1.5,
                "text": "Hello, world.",
                "words": [
                    {"word": "Hello,", "start": 0.0, "end": 0.48, "probability": 0.988},
                    {"word": "world.", "start": 0.48, "end": 1.5, "probability": 1.0},
                ],
                "temperature": 0.2,
                "avg_logprob": -0.5124,
                "compression_ratio": 1.235,
                "no_speech_prob": 0.0123,
                "doubts": ["repetition", "low_confidence"],
            }
        ],
        "omitted": [{"start": 5.0, "end": 6.0, "text": "Thank you.", "reasons": ["no_speech"]}],
    }


def test_what_is_not_known_has_no_key() -> None:
    """Clients of the original /asr see its two keys, and chunks with two."""
    said = transcript(Segment(0, 1500, " Hello.", quality=Quality(mean_logprob=-0.2)))
    assert json.loads(asr_json(said)) == {
        "text": " Hello.",
        "chunks": [{"timestamp": [0.0, 1.5], "text": " Hello."}],
    }
    (segment,) = json.loads(FORMATS["json"].write(transcript(Segment(0, 1500, " Hello."))))["segments"]
    assert segment == {"start": 0.0, "end": 1.5, "text": "Hello."}


@pytest.mark.parametrize("name", ["text", "srt", "vtt"])
def test_omitted_text_and_words_are_no_subtitles(name: str) -> None:
    plain = Transcript((Segment(0, 1500, " Hello, world."),), 10_000)
    full = Transcript((Segment(0, 1500, " Hello, world.", WORDS, Quality()),), 10_000, omitted=(INVENTED,))
    assert FORMATS[name].write(full) == FORMATS[name].write(plain)


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_a_cue_lasts_from_its_first_word_to_its_last(name: str) -> None:
    words = (Word(340, 800, " Hello,"), Word(900, 1220, " world."))
    (cue,) = read_back(name, transcript(Segment(0, 2_000, " Hello, world.", words)))
    assert (milliseconds(cue.start_time), milliseconds(cue.end_time), cue.text) == (340, 1220, "Hello, world.")
