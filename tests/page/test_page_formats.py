"""The page's formats in a browser write what Python's formats write, byte for byte."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from asr_api.formats import text
from asr_api.formats.subtitles import srt, vtt
from asr_api.text.line_breaks import num_columns, unbreakable_parts
from tests.formats.subtitle_vectors import FILE, page_options, page_transcript
from tests.page.east_asian_width import TABLE, table
from tests.page.random_transcripts import random_cases
from tests.page.static_files import serve_page_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.page

VECTORS = json.loads(FILE.read_text(encoding="utf-8"))
SURROGATES = range(0xD800, 0xE000)
RECLASSIFIED = 0x1171E  # of Ahom: a mark without a column in Unicode 14, one with a column in Unicode 17
CODE_POINTS = [
    code_point for code_point in range(0x40000) if code_point not in SURROGATES and code_point != RECLASSIFIED
]
MODULES = ("line_breaks", "subtitles", "text", "verbose_json")
LOAD = f"""async () => {{
  const names = {json.dumps(MODULES)};
  const modules = await Promise.all(names.map((name) => import(`/formats/${{name}}.js`)));
  globalThis.formats = Object.assign({{}}, ...modules);
}}"""
WRITE = """(cases) => cases.map(({
  transcript, options = {maxLineWidth: 42, maxLineCount: 2, maxWordsPerLine: null},
}) => ({
  text: formats.text(transcript),
  srt: formats.srt(transcript, options),
  vtt: formats.vtt(transcript, options),
  verboseJson: formats.verboseJson(transcript),
}))"""


same_unicode = pytest.mark.skipif(
    f"Unicode {unicodedata.unidata_version}." not in TABLE.read_text(encoding="utf-8"),
    reason="the table is of another version of Unicode",
)


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    with serve_page_folder() as url:
        page = browser.new_page()
        page.goto(f"{url}/formats/")
        page.evaluate(LOAD)
        yield page
        page.close()


def shape(*segments: dict[str, Any], **members: object) -> dict[str, Any]:
    """A transcript of the page; segments need a text."""
    usual = {"startMs": 0, "endMs": 1000, "words": [], "speaker": None}
    whole = {"audioMs": 9000, "task": "transcribe", "language": "en", "languageName": "english"}
    return {**whole, "segments": [usual | segment for segment in segments], **members}


def without_speakers(body: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)
    for segment in found["segments"]:
        segment.pop("speaker", None)
    return found


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_vector_is_equal(page: Page, vector: dict[str, Any]) -> None:
    (found,) = page.evaluate(WRITE, [vector])
    for name in ("text", "srt", "vtt"):
        assert found[name] == vector[name]
    assert without_speakers(found["verboseJson"]) == vector["verboseJson"]


def test_random_transcripts_are_equal(page: Page) -> None:
    cases = list(random_cases(seed=27, num_cases=400))
    shapes = [{"transcript": page_transcript(spoken), "options": page_options(how)} for spoken, how in cases]
    for (spoken, options), found in zip(cases, page.evaluate(WRITE, shapes), strict=True):
        assert found["text"] == text(spoken)
        assert found["srt"] == srt(spoken, options)
        assert found["vtt"] == vtt(spoken, options)


def test_random_texts_break_at_the_same_places(page: Page) -> None:
    texts = [segment.text for spoken, _ in random_cases(seed=28, num_cases=200) for segment in spoken.segments]
    assert page.evaluate("(texts) => texts.map(formats.unbreakableParts)", texts) == [*map(unbreakable_parts, texts)]


@same_unicode
def test_every_character_has_the_same_columns(page: Page) -> None:
    """Those that are assigned in the Unicode of both Python and the browser."""
    list_unassigned = r"(codes) => codes.filter((code) => /\p{Cn}/u.test(String.fromCodePoint(code)))"
    count = "(codes) => codes.map((code) => formats.numColumns(String.fromCodePoint(code)))"
    unassigned = set(page.evaluate(list_unassigned, CODE_POINTS))
    pairs = zip(CODE_POINTS, page.evaluate(count, CODE_POINTS), strict=True)
    different = [code_point for code_point, columns in pairs if columns != num_columns(chr(code_point))]
    found = [code for code in different if code not in unassigned and unicodedata.category(chr(code)) != "Cn"]
    assert [hex(code) for code in found] == []


@same_unicode
def test_the_table_of_wide_characters_is_what_its_generator_writes() -> None:
    assert TABLE.read_text(encoding="utf-8") == table()


def test_a_corrected_segment_may_have_no_text(page: Page) -> None:
    empty_word = {"startMs": 5000, "endMs": 6000, "text": ""}
    empty: list[dict[str, Any]] = [{"text": ""}, {"text": "", "words": [empty_word]}]
    one, two = {"text": " one"}, {"text": " two.", "startMs": 7000, "endMs": 8000}
    (found, expected) = page.evaluate(WRITE, [{"transcript": shape(one, *empty, two)}, {"transcript": shape(one, two)}])
    for name in ("text", "srt", "vtt"):
        assert found[name] == expected[name]


def test_timed_text_has_a_line_for_each_segment(page: Page) -> None:
    segments = (
        {"startMs": 12_999, "text": " Hello\nthere. ", "speaker": "Anna  B."},
        {"startMs": 60_000, "text": " \n", "speaker": "Anna  B."},
        {"startMs": 754_000, "text": " Yes."},
        {"startMs": 36_061_000, "text": "好。", "speaker": " "},
    )
    lines = ["[0:00:12] Anna B.: Hello there.", "[0:12:34] Yes.", "[10:01:01] 好。"]
    assert page.evaluate("formats.timedText", shape(*segments)) == "".join(f"{line}\n" for line in lines)


def test_json_names_the_speakers_that_are_known(page: Page) -> None:
    body = page.evaluate("formats.verboseJson", shape({"text": "a", "speaker": "Anna"}, {"text": "b"}))
    assert [segment.get("speaker", "unknown") for segment in json.loads(body)["segments"]] == ["Anna", "unknown"]


def test_json_of_an_unknown_language_has_an_empty_name(page: Page) -> None:
    body = json.loads(page.evaluate("formats.verboseJson", shape(language=None, languageName=None)))
    assert (body["language"], body["language_code"]) == ("", None)
