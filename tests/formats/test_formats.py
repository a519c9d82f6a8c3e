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
from asr_api.transcript import Segment, Transcript

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
    assert [cue.text for cue in cues] == [" ".join(f"{text} → 1".split()) for text in texts]
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
