"""Subtitles are read back by independent parsers with the same texts and times."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st
from pysubs2 import SSAFile
from webvtt.models import Timestamp

from asr_api.formats.subtitles import srt, tsv, vtt
from asr_api.options import SubtitleOptions
from asr_api.transcript import Segment
from tests.formats.transcripts import timed, transcript

OPTIONS = SubtitleOptions()
WRITERS = {"srt": srt, "vtt": vtt}
STEP_MS = 20
TIMESTAMPS_MS = [position * STEP_MS for position in range(1501)]

TimedText = tuple[int, int, str]


def read_by_webvtt(name: str, body: str) -> list[TimedText]:
    captions = webvtt.from_buffer(StringIO(body), format=name).captions
    return [(milliseconds(cue.start_time), milliseconds(cue.end_time), cue.raw_text) for cue in captions]


def milliseconds(time: Timestamp) -> int:
    return ((time.hours * 60 + time.minutes) * 60 + time.seconds) * 1000 + time.milliseconds


def read_by_pysubs2(name: str, body: str) -> list[TimedText]:
    return [(event.start, event.end, event.text) for event in SSAFile.from_string(body, format_=name)]


@pytest.mark.parametrize("read", [read_by_webvtt, read_by_pysubs2])
@pytest.mark.parametrize("name", WRITERS)
def test_every_whisper_timestamp_survives(name: str, read: Callable[[str, str], list[TimedText]]) -> None:
    """Each segment is a cue, because its speaker is not that of the one before."""
    speakers = [f"S{time // STEP_MS % 2}" for time in TIMESTAMPS_MS]
    timed_speakers = list(zip(TIMESTAMPS_MS, speakers, strict=True))
    segments = (Segment(time, time + STEP_MS, f" w{time}", speaker=speaker) for time, speaker in timed_speakers)
    found = read(name, WRITERS[name](transcript(*segments), OPTIONS))
    assert found == [(time, time + STEP_MS, f"{speaker}: w{time}") for time, speaker in timed_speakers]


texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).filter(str.strip)


@given(st.lists(texts, min_size=1, max_size=4), st.integers(0, 400_000_000))
def test_any_text_stays_inside_its_cue(texts: list[str], start_ms: int) -> None:
    spoken = transcript(*(Segment(start_ms + n, start_ms + n, f" {text} --> \n\n1\n") for n, text in enumerate(texts)))
    cues = read_by_webvtt("srt", srt(spoken, OPTIONS))
    found = "".join("".join(text for _, _, text in cues).split())
    assert found == "".join(spoken.text.replace("-->", "→").split())
    assert all(end_ms > start_ms for start_ms, end_ms, _ in cues)
    blocks = vtt(spoken, OPTIONS).split("\n\n")
    assert (blocks[0], blocks[-1], len(blocks)) == ("WEBVTT", "", len(cues) + 2)
    assert all(block.count("-->") == 1 and block.count("<") == 0 for block in blocks[1:-1])


def test_a_cue_has_its_lines() -> None:
    text = " And so my fellow Americans ask not what your country"
    spoken = transcript(Segment(0, 5000, text))
    assert srt(spoken, OPTIONS) == (
        "1\n00:00:00,000 --> 00:00:05,000\nAnd so my fellow Americans\nask not what your country\n\n"
    )
    assert vtt(spoken, OPTIONS) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:05.000\nAnd so my fellow Americans\nask not what your country\n\n"
    )
    one_line = SubtitleOptions(max_line_width=60)
    assert read_by_webvtt("srt", srt(spoken, one_line)) == [(0, 5000, text.strip())]


def test_markup_is_escaped_in_webvtt_only() -> None:
    spoken = transcript(Segment(0, 1500, " R&B <i>--> all"))
    assert "\nR&amp;B &lt;i&gt;--&gt; all\n" in vtt(spoken, OPTIONS)
    assert "\nR&B <i>→ all\n" in srt(spoken, OPTIONS)


def test_tsv_has_a_row_for_each_segment() -> None:
    segments = (timed((340, 1220, "Hello,")), Segment(1220, 400_000_000, " tabs\tand\nlines are blanks."))
    assert tsv(transcript(*segments)) == (
        "start\tend\ttext\n340\t1220\tHello,\n1220\t400000000\ttabs and lines are blanks.\n"
    )
    assert tsv(transcript()) == "start\tend\ttext\n"
