"""Downloads: what the server writes for the same recording, the corrected text, and a document for Word."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from tests.page.tab import Tab, export_of
from tests.page.transcripts import stored_transcript
from tests.product.samples import SAMPLES
from tests.server.running import Server

if TYPE_CHECKING:
    from tests.page.conftest import OpenTab

pytestmark = pytest.mark.page


@pytest.fixture
def tab(base: Server, open_tab: OpenTab) -> Tab:
    tab = open_tab(base)
    tab.transcribe(SAMPLES / "minute.mp3")
    return tab


def written_by_server(server: Server, **parameters: str) -> str:
    with server.http(60) as http:
        return http.post("/asr", params=parameters, content=(SAMPLES / "minute.mp3").read_bytes()).text


def test_text_and_subtitles_are_those_of_the_server(base: Server, tab: Tab) -> None:
    assert tab.save("txt").decode() == written_by_server(base, output="text", words="true")
    assert tab.save("srt").decode() == written_by_server(base, output="srt")
    assert tab.save("vtt").decode() == written_by_server(base, output="vtt")
    tab.click("#download-button")
    tab.page.select_option("#format-select", "srt")
    tab.page.fill("#line-width", "24")
    tab.page.fill("#line-count", "1")
    assert (
        tab.page.text_content("#download-preview")
        == written_by_server(base, output="srt", max_line_width="24", max_line_count="1")[:1500]
    )


def test_json_has_the_shape_of_verbose_json(base: Server, tab: Tab) -> None:
    found = json.loads(tab.save("json"))
    with base.http(60) as http:
        form = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
        file = {"file": (SAMPLES / "minute.mp3").read_bytes()}
        expected = http.post("/v1/audio/transcriptions", data=form, files=file).json()
    assert found.keys() == expected.keys()
    for name in ("task", "language", "language_code", "duration", "text", "words", "usage"):
        assert found[name] == expected[name], name
    for mine, theirs in zip(found["segments"], expected["segments"], strict=True):
        assert mine.keys() == theirs.keys()
        assert [mine[name] for name in ("id", "start", "end", "text")] == [
            theirs[name] for name in ("id", "start", "end", "text")
        ]


def test_a_corrected_word_is_in_every_format(tab: Tab) -> None:
    tab.put_caret(0, 0)
    tab.page.keyboard.type("Xylophone ")
    for name in ("txt", "timed", "srt", "vtt", "json"):
        assert "Xylophone" in tab.save(name).decode(), name
    assert "Xylophone" in "".join(document_of(tab.save("docx")))


def document_of(content: bytes) -> list[str]:
    """The texts of the paragraphs."""
    docx = pytest.importorskip("docx")
    return [paragraph.text for paragraph in docx.Document(io.BytesIO(content)).paragraphs]


def test_a_document_has_title_times_speakers_and_every_character(scripted: Server, open_tab: OpenTab) -> None:
    transcript = stored_transcript(num_segments=3)
    texts = (' <b>"Tom" & Jerry</b>', " مرحبا بالعالم", " 你好\u0007 🎉")
    for segment, text in zip(transcript["segments"], texts, strict=True):
        segment.update(text=text, words=[], speaker="Ann & Bob")
    tab = open_tab(scripted)
    tab.page.set_input_files("#import-input", export_of({**transcript, "title": "A <title>"}))
    tab.click("#transcript-list .open")
    tab.wait_for("#segments li")
    title, *paragraphs = document_of(tab.save("docx"))
    assert title == "A <title>"
    assert paragraphs == [
        '0:00  Ann & Bob  <b>"Tom" & Jerry</b>', "0:04  Ann & Bob  مرحبا بالعالم", "0:08  Ann & Bob  你好 🎉",
    ]  # fmt: skip


def test_files_are_named_after_the_title(scripted: Server, open_tab: OpenTab) -> None:
    tab = open_tab(scripted)
    tab.page.set_input_files("#import-input", export_of({**stored_transcript(), "title": "a/b: c?"}))
    tab.click("#transcript-list .open")
    tab.wait_for("#segments li")
    tab.page.keyboard.press("Control+s")
    tab.page.select_option("#format-select", "vtt")
    with tab.page.expect_download() as started:
        tab.click("#download-save")
    assert started.value.suggested_filename == "a_b_ c_.vtt"
