"""Cues have all words once, in lines that fit, at good breaks, and for long enough to be read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.formats.cues import Cue, cues
from asr_api.options import SubtitleOptions
from asr_api.text.line_breaks import num_columns, unbreakable_parts
from asr_api.transcript import Segment, Transcript, Word
from tests.formats.transcripts import evenly_timed, timed, transcript

DEFAULTS = SubtitleOptions()
LONG_SENTENCE = (
    "the people who had been waiting since the early hours of the morning were not amused at all when he came"
)


def lines(*segments: Segment, options: SubtitleOptions = DEFAULTS) -> list[tuple[str, ...]]:
    return [cue.lines for cue in cues(transcript(*segments), options)]


def texts(*segments: Segment, options: SubtitleOptions = DEFAULTS) -> list[str]:
    return [" ".join(cue) for cue in lines(*segments, options=options)]


def times(*segments: Segment, audio_ms: int | None = None) -> list[tuple[int, int]]:
    spoken = Transcript(segments, segments[-1].end_ms if audio_ms is None else audio_ms)
    return [(cue.start_ms, cue.end_ms) for cue in cues(spoken, DEFAULTS)]


spaced = st.sampled_from(
    [" Hello,", " you", " x", " Yes.", " incomprehensibilities", " –", " e.g.", " 1", " " + "w" * 30]
)
unspaced = st.sampled_from(["今", "天。", "「好", "ありがとう", "สวัสดี", "\n吗?", " 你好世界", "日" * 30, "Tokyo"])


@st.composite
def spoken_words(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> Transcript:
    """Segments with and without word timestamps and speakers, in any rhythm."""
    segments: list[Segment] = []
    end_ms = 0
    for _ in range(draw(st.integers(1, 6))):
        words: list[Word] = []
        for text in draw(st.lists(texts, min_size=1, max_size=25)):
            start_ms = end_ms + draw(st.sampled_from([0, 0, 0, 90, 600, 2500]))
            end_ms = start_ms + draw(st.sampled_from([0, 20, 240, 400, 9000]))
            words.append(Word(start_ms, end_ms, text))
        kept = tuple(words) if draw(st.booleans()) else ()
        segments.append(Segment(words[0].start_ms, end_ms, "".join(word.text for word in words), kept))
    return Transcript(tuple(segments), end_ms + draw(st.sampled_from([0, 5000])))


layouts = st.builds(
    SubtitleOptions, st.sampled_from([1, 10, 42]), st.integers(1, 3), st.one_of(st.none(), st.integers(1, 4))
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(spoken_words(spaced), layouts)
def test_no_word_is_lost_or_doubled(spoken: Transcript, options: SubtitleOptions) -> None:
    found = [word for cue in cues(spoken, options) for line in cue.lines for word in line.split()]
    assert found == spoken.text.split()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(spoken_words(st.one_of(spaced, unspaced)), layouts)
def test_no_character_is_lost_and_no_line_too_long(spoken: Transcript, options: SubtitleOptions) -> None:
    found = cues(spoken, options)
    all_lines = [line for cue in found for line in cue.lines]
    assert "".join("".join(all_lines).split()) == "".join(spoken.text.split())
    assert all(line == line.strip() != "" for line in all_lines)
    assert all(1 <= len(cue.lines) <= options.max_line_count for cue in found)
    too_long = [line for line in all_lines if num_columns(line) > options.max_line_width]
    assert all(len(unbreakable_parts(line)) == 1 for line in too_long)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(spoken_words(st.one_of(spaced, unspaced)), layouts)
def test_cues_are_in_order_and_last_a_millisecond_to_seven_seconds(
    spoken: Transcript, options: SubtitleOptions
) -> None:
    found = cues(spoken, options)
    assert all(1 <= cue.end_ms - cue.start_ms <= 7000 for cue in found)
    assert all(cue.end_ms <= following.start_ms for cue, following in pairwise(found))


def test_a_segment_of_eleven_seconds_becomes_readable_cues() -> None:
    text = " And so my fellow Americans ask not what your country can do for you, ask what you can do for your country."
    found = cues(transcript(Segment(0, 11_000, text)), DEFAULTS)
    assert found == [
        Cue(0, 5448, ("And so my fellow Americans", "ask not what your country")),
        Cue(5448, 11_000, ("can do for you,", "ask what you can do for your country.")),
    ]


def test_silence_has_no_cues() -> None:
    assert cues(Transcript((), 10_000), DEFAULTS) == []
    assert lines(Segment(0, 1000, " ")) == []


def test_a_cue_may_span_segments_but_no_pause_between_them() -> None:
    first, second = Segment(0, 1200, " First we"), Segment(1200, 2400, " talk.")
    assert texts(first, second) == ["First we talk."]
    assert texts(first, second.shifted(200)) == ["First we", "talk."]
    assert texts(timed((0, 400, "one"), (2400, 2900, "two"))) == ["one", "two"], "nor a long pause inside a segment"


def test_a_cue_ends_at_the_end_of_a_sentence_if_it_can() -> None:
    sentence = f"He was late. {LONG_SENTENCE.capitalize()}."
    assert texts(evenly_timed(sentence, word_ms=400))[0] == "He was late."
    clause = sentence.replace(".", ",", 1)
    assert texts(evenly_timed(clause, word_ms=400))[0] != "He was late,", "a sentence has no more cues than needed"


def test_an_ended_clause_comes_before_a_pause_and_a_pause_before_balance() -> None:
    words = [(start_ms, start_ms + 380, "abcdefgh") for start_ms in range(0, 4800, 400)]
    assert [len(text.split()) for text in texts(timed(*words))] == [6, 6]
    paused = words[:4] + [(start + 700, end + 700, word) for start, end, word in words[4:]]
    assert [len(text.split()) for text in texts(timed(*paused))] == [4, 8]
    paused[6] = (*paused[6][:2], "abcdefg,")
    assert [len(text.split()) for text in texts(timed(*paused))] == [7, 5]


@pytest.mark.parametrize("clause", [[(0, 1200, "Well,")], [(0, 600, "So"), (600, 1200, "so,")]])
def test_no_word_is_left_over_where_the_text_can_be_divided_evenly(clause: list[tuple[int, int, str]]) -> None:
    rest = [(start_ms, start_ms + 300, "abcdefg") for start_ms in range(1200, 4200, 300)]
    assert len(texts(timed(*rest))) == 1
    assert texts(timed(*clause, *rest))[-1].count("abcdefg") == 5


def test_the_lines_of_a_cue_are_even() -> None:
    assert [len(line) for line in lines(evenly_timed("abcdefghi " * 5))[0]] == [19, 29]


def test_a_sentence_too_short_to_be_read_has_no_cue_of_its_own() -> None:
    sentences = "No. " + " ".join(["Abcdefg"] * 10)
    assert texts(evenly_timed(sentences, word_ms=1000))[0] == "No."
    assert texts(evenly_timed(sentences, word_ms=400))[0].startswith("No. Abcdefg Abcdefg")


def test_a_cue_ends_with_a_segment_if_it_can() -> None:
    first, second = "the end of a thought of the speaker", "and another one that goes on and on for a while and ends"
    assert texts(Segment(0, 2500, f" {first}"), Segment(2500, 6500, f" {second}")) == [first, second]


def test_a_word_of_blanks_separates_words() -> None:
    words = (Word(0, 500, "one"), Word(500, 500, " \n"), Word(500, 1500, "two"))
    assert texts(Segment(0, 1500, "one \ntwo", words)) == ["one two"]


def test_two_lines_break_after_punctuation_near_the_middle() -> None:
    assert lines(evenly_timed("When the rain had stopped, we went out to the park")) == [
        ("When the rain had stopped,", "we went out to the park")
    ]


def test_a_cue_has_no_more_lines_than_needed() -> None:
    sentence = "Aa " * 8 + "Aa. "  # three lines would each be a sentence
    assert [len(cue) for cue in lines(evenly_timed(sentence * 3, word_ms=200))] == [2]


def test_lines_have_the_columns_and_words_that_were_asked_for() -> None:
    text = "one two three four five six seven"
    narrow = lines(evenly_timed(text), options=SubtitleOptions(max_line_width=9, max_line_count=1))
    assert narrow == [("one two",), ("three",), ("four five",), ("six seven",)]
    few = lines(evenly_timed(text), options=SubtitleOptions(max_words_per_line=2))
    assert all(len(line.split()) <= 2 for cue in few for line in cue)
    assert max(len(cue) for cue in few) == 2


def test_a_word_longer_than_a_line_is_alone_on_it() -> None:
    address = "https://example.com/" + "a" * 40
    assert lines(evenly_timed(f"See {address} now")) in ([("See", address), ("now",)], [("See",), (address, "now")])


@pytest.mark.parametrize("text", ["我今天早上去了商店买了一些苹果和香蕉" * 3, "ข้อมูลเพิ่มเติม" * 8])
def test_text_without_spaces_breaks_between_characters(text: str) -> None:
    found = lines(Segment(0, 9000, text))
    assert "".join(line for cue in found for line in cue) == text
    assert len(found) > 1
    assert all(num_columns(line) <= 42 for cue in found for line in cue)


def test_wide_characters_count_two_columns() -> None:
    assert [len(line) for line in lines(Segment(0, 6000, "天" * 42))[0]] == [21, 21]


def test_a_cue_starts_and_ends_with_its_words() -> None:
    segment = timed((340, 800, "Hello,"), (900, 1620, "world."))
    assert times(segment, audio_ms=9000) == [(340, 1620)]


def test_a_cue_too_short_to_be_read_lasts_into_the_silence_after_it() -> None:
    short = timed((0, 300, "Yes."))
    assert times(short, audio_ms=9000) == [(0, 1000)]
    assert times(short, audio_ms=700) == [(0, 700)], "not beyond the recording"
    assert times(short, timed((800, 2000, "Now we go."))) == [(0, 800), (800, 2000)], "not over the next cue"
    fast = timed((0, 600, "abcdefghi"), (600, 1200, "abcdefghijklmnopqrs"), (1200, 1500, "abcdefghi"))
    assert times(fast, audio_ms=9000) == [(0, 50 * (9 + 19 + 9))]


def test_a_word_of_many_seconds_is_shown_for_seven() -> None:
    assert times(timed((1000, 12_000, "Oooh"))) == [(1000, 8000)]


def test_words_with_the_same_time_get_cues_one_after_the_other() -> None:
    segments = [Segment(500, 500, f" {'w' * 80}{number}") for number in range(3)]
    assert times(*segments, audio_ms=500) == [(500, 501), (501, 502), (502, 503)]


def test_a_change_of_speaker_starts_a_cue_with_the_name() -> None:
    segments = [
        timed((0, 900, "Hello."), speaker="Anna"),
        timed((900, 1800, "Hi"), (1800, 2400, "Anna."), speaker="Bob  B."),
        timed((2400, 3600, "Sorry"), speaker="Bob  B."),
        timed((3600, 4800, "(laughter)")),
    ]
    assert texts(*segments) == ["Anna: Hello.", "Bob B.: Hi Anna. Sorry", "(laughter)"]


def test_a_name_that_fills_a_line_stands_above_the_text() -> None:
    name = "The Right Honourable Member for Aberavon"
    assert lines(timed((0, 1500, "Gentlemen!"), speaker=name)) == [(f"{name}:", "Gentlemen!")]


def test_no_line_is_left_with_a_word_for_the_sake_of_a_comma() -> None:
    (cue,) = lines(evenly_timed(" However, due to the slow communication channels,"))
    assert cue == ("However, due to the slow", "communication channels,")
