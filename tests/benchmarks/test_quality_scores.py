"""benchmarks/quality: counts of errors, runs of lost, invented and doubled words, word times, and scores of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.quality.alignment import Errors, Run, align
from benchmarks.quality.figures import TimedRun, score
from benchmarks.quality.normalizer import Normalizer
from benchmarks.quality.recording import Passage, Recording, Word
from benchmarks.quality.repetition import doubled_runs
from benchmarks.quality.transcription import Transcription
from benchmarks.quality.word_times import start_errors, word_times

LOWER = Normalizer(str.lower, str.lower)
NUMBERS = [str(number) for number in range(100)]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b c d", "a b c d", Errors(4, 0, 0, 0)),
        ("a b c d", "a x c", Errors(4, 1, 1, 0)),
        ("a b", "a b c d", Errors(2, 0, 0, 2)),
        ("a b", "", Errors(2, 0, 2, 0)),
        ("", "a b", Errors(0, 0, 0, 2)),
    ],
)
def test_errors_are_substituted_deleted_and_inserted(reference: str, hypothesis: str, expected: Errors) -> None:
    assert align(reference.split(), hypothesis.split()).errors == expected


def test_errors_of_files_are_added_before_they_are_divided() -> None:
    total = Errors(10, 1, 0, 0) + Errors(30, 1, 3, 5)
    assert total == Errors(40, 2, 3, 5)
    assert total.percent == pytest.approx(25)
    assert Errors(2, 0, 0, 3).percent == pytest.approx(150)


def test_three_units_in_a_row_are_a_run_and_two_are_not() -> None:
    lost = align(NUMBERS, NUMBERS[:10] + NUMBERS[12:30] + NUMBERS[33:])
    assert lost.lost == (Run(30, ("30", "31", "32")),)
    assert lost.errors.deleted == 5
    invented = align(NUMBERS, [*NUMBERS[:50], "so", "it", "is", *NUMBERS[50:70], "or", "not", *NUMBERS[70:]])
    assert invented.invented == (Run(50, ("so", "it", "is")),)
    assert not invented.lost


def test_a_run_is_doubled_if_it_is_near_and_not_doubled_in_the_reference() -> None:
    def doubled(reference: list[str], hypothesis: list[str]) -> list[tuple[str, ...]]:
        return doubled_runs(reference, hypothesis, align(reference, hypothesis))

    text = NUMBERS[:40]
    assert doubled(text, text) == []
    assert doubled(text, text[:20] + text[14:]) == [tuple(text[14:20])]
    assert doubled(text, text[:20] + text[18:]) == [], "two words are no run"
    assert doubled(text[:20] + text[14:], text[:20] + text[14:]) == [], "the reference has it, too"
    assert doubled(NUMBERS, NUMBERS + NUMBERS[:5]) == [], "too far away"
    assert doubled(text, [*text, *["so", "it", "is"] * 2]) == [("so", "it", "is")]
    misheard = [*text[:20], *text[14:17], *text[20:]]
    assert doubled([*text[:20], "x", *text[15:17], *text[20:]], misheard) == [], "a wrong word is not inserted"


def test_starts_of_equal_words_are_compared() -> None:
    known = (Word(0.5, "Hello"), Word(1.0, "big"), Word(1.5, "world"))
    transcribed = (Word(0.4, " hello,"), Word(1.1, " bad"), Word(2.0, " World."))
    assert start_errors(known, transcribed) == pytest.approx([0.1, 0.5])
    times = word_times(3, [0.1, 0.5, 0.1, 0.2])
    assert times
    assert (times.num_known, times.num_compared, times.median_s, times.num_far) == (3, 4, 0.15, 1)
    assert word_times(3, [0.1]) is None


def test_a_lost_run_has_its_time_in_the_recording() -> None:
    passages = (Passage(0, 10, "a b c d e f g h i j"), Passage(20, 30, "k l m n o p q r s t"))
    recording = Recording("long", Path("any.wav"), "en", "", 30, passages)
    result = Transcription("A b c d e f g h i j k l q r s t", "en")
    assert score(recording, result, LOWER).lost == (TimedRun(22, "m n o p", 4),)


def test_characters_are_compared_in_languages_without_spaces() -> None:
    chinese = Recording("other", Path("any.wav"), "zh", "砸自己的脚", 1)
    found = score(chinese, Transcription("砸 自己 脚", "zh"), LOWER)
    assert (found.row, found.errors) == ("other, characters", Errors(5, 0, 1, 0))


def test_text_without_speech_is_invented_and_is_no_error_of_a_word() -> None:
    silent = Recording("silence", Path("any.wav"), "en", "", 60)
    found = score(silent, Transcription("Thank you.", "nn"), LOWER)
    assert (found.num_invented, found.errors, found.is_language_right) == (2, Errors(), None)


def test_the_language_is_right_or_wrong_where_there_is_one() -> None:
    recordings = {language: Recording("any", Path("any.wav"), language, "a", 1) for language in ("de", "en+de")}
    result = Transcription("a", "en")
    assert score(recordings["de"], result, LOWER).is_language_right is False
    assert score(recordings["en+de"], result, LOWER).is_language_right is None
