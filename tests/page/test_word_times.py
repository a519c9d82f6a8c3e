"""Word times after an edit: unchanged words keep theirs, new ones share the time of what they replace."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.page.static_files import serve_page_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.page


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    with serve_page_folder() as url:
        page = browser.new_page()
        page.goto(f"{url}/formats/")
        page.evaluate(
            """async () => {
                globalThis.transcript = await import("/transcript.js");
                globalThis.times = await import("/word_times.js");
            }"""
        )
        yield page
        page.close()


def segment(text: str, word_ms: int = 100, start_ms: int = 1000) -> dict[str, Any]:
    """Its words are those between spaces, or the given parts between bars."""
    parts = text.split("|") if "|" in text else [f" {word}" for word in text.split()]
    words = [
        {
            "startMs": start_ms + index * word_ms,
            "endMs": start_ms + (index + 1) * word_ms,
            "text": part,
            "probability": 1,
        }
        for index, part in enumerate(parts)
    ]
    whole = {"startMs": start_ms, "endMs": start_ms + len(words) * word_ms, "text": "".join(parts)}
    return {**whole, "words": words, "doubts": [], "speaker": None, "omitted": None}


def edited(page: Page, before: dict[str, Any], text: str) -> list[tuple[str, int, int]]:
    words = page.evaluate("([before, text]) => times.editedWords(before, text)", [before, text])
    return [(word["text"], word["startMs"], word["endMs"]) for word in words]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("one two three", " one TWO three", [(" one", 1000, 1100), (" TWO", 1100, 1200), (" three", 1200, 1300)]),
        ("one two three", " one three", [(" one", 1000, 1100), (" three", 1200, 1300)]),
        ("one two", " one a two", [(" one", 1000, 1100), (" a", 1100, 1100), (" two", 1100, 1200)]),
        ("one two", " one bb cc", [(" one", 1000, 1100), (" bb", 1100, 1150), (" cc", 1150, 1200)]),
        ("one two three", " ones two three", [(" ones", 1000, 1100), (" two", 1100, 1200), (" three", 1200, 1300)]),
        ("one two", " one  two", [(" one", 1000, 1100), ("  two", 1100, 1200)]),
        ("one two", "", []),
        ("a b a b", " a b b", [(" a", 1000, 1100), (" b", 1100, 1200), (" b", 1300, 1400)]),
        ("今日|は|晴れ", "今日は雨", [("今日", 1000, 1100), ("は", 1100, 1200), ("雨", 1200, 1300)]),
        ("今日|は|晴れ", "今日も晴れ", [("今日", 1000, 1100), ("も", 1100, 1200), ("晴れ", 1200, 1300)]),
    ],
)
def test_words_after_an_edit(page: Page, before: str, after: str, expected: list[tuple[str, int, int]]) -> None:
    assert edited(page, segment(before), after) == expected


def test_an_empty_segment_that_is_written_again_has_words_over_its_time(page: Page) -> None:
    empty = {**segment("one two"), "text": "", "words": []}
    assert edited(page, empty, " a b") == [(" a", 1000, 1100), (" b", 1100, 1200)]


def test_text_that_had_no_words_gets_none(page: Page) -> None:
    assert edited(page, {**segment("one two"), "words": []}, " one") == []


def random_edit(generator: random.Random, text: str) -> str:
    """One place is replaced, as typing and pasting do."""
    start = generator.randrange(len(text) + 1)
    end = min(len(text), start + generator.choice([0, 0, 1, 2, 8]))
    return text[:start] + generator.choice(["", "x", " ", "new word", "日本", "é ", "-"]) + text[end:]


@pytest.mark.parametrize("seed", range(4))
def test_any_edits_keep_order_text_and_the_times_of_words_that_are_left_alone(page: Page, seed: int) -> None:
    generator = random.Random(seed)
    current = segment(generator.choice(["the quick brown fox jumps over it", "今|日は|とても|良い|天気", " a| b|c| d"]))
    for _ in range(60):
        text = random_edit(generator, current["text"])
        words = page.evaluate("([before, text]) => times.editedWords(before, text)", [current, text])
        assert "".join(word["text"] for word in words) == text
        bounds = [time_ms for word in words for time_ms in (word["startMs"], word["endMs"])]
        assert bounds == sorted(bounds)
        assert all(current["startMs"] <= time_ms <= current["endMs"] for time_ms in bounds)
        old = {(word["text"].strip(), word["startMs"]) for word in current["words"] if word.get("probability")}
        kept = {(word["text"].strip(), word["startMs"]) for word in words if word.get("probability")}
        assert kept <= old
        assert len(old - kept) <= 10  # what one edit can touch
        current = {**current, "text": text, "words": words}


@pytest.mark.parametrize("text", ["one two three four", "今日|は|晴れ|です", "incomprehensibilities"])
def test_dividing_and_joining_anywhere_gives_the_same_text_in_order(page: Page, text: str) -> None:
    whole = segment(text)
    shown = whole["text"].strip()
    for offset in range(len(shown) + 1):
        parts = page.evaluate("([whole, offset]) => transcript.splitSegment(whole, offset)", [whole, offset])
        if not shown[:offset].strip() or not shown[offset:].strip():
            assert parts is None
            continue
        first, second = parts
        assert first["text"] + second["text"] == whole["text"]
        assert "".join(word["text"] for word in first["words"]) == first["text"]
        assert "".join(word["text"] for word in second["words"]) == second["text"]
        times = [whole["startMs"], first["endMs"], second["startMs"], second["endMs"]]
        assert times == sorted(times)
        joined = page.evaluate("([first, second]) => transcript.joinSegments(first, second)", parts)
        assert (joined["text"], joined["startMs"], joined["endMs"]) == (whole["text"], whole["startMs"], whole["endMs"])
        assert all(before["endMs"] <= after["startMs"] for before, after in pairwise(joined["words"]))
