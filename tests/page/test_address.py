"""What the server sends for the page: one small page without foreign parts, under a strict policy, kept by browsers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import asr_api
from tests.page.tab import export_of
from tests.page.transcripts import stored_transcript
from tests.product.samples import SAMPLES
from tests.server.running import Server

if TYPE_CHECKING:
    from tests.page.conftest import OpenTab

pytestmark = pytest.mark.page

MAX_COMPRESSED_BYTES = 60 * 1024
MAX_PAINT_MS = 300
FOLDER = Path(asr_api.__file__).parent / "page"


@pytest.mark.parametrize("locale", ["en-US", "ar-EG"])
def test_everything_is_small_and_comes_from_this_server(base: Server, open_tab: OpenTab, locale: str) -> None:
    tab = open_tab(base, locale=locale)
    sizes = tab.page.evaluate(
        """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .filter(({ name }) => !/\\/(hc|models)$/.test(name)).map(({ encodedBodySize }) => encodedBodySize)"""
    )
    assert len(sizes) > 30
    print(f"{sum(sizes):,} bytes")
    assert sum(sizes) <= MAX_COMPRESSED_BYTES, sum(sizes)
    tab.transcribe(SAMPLES / "hello.wav")  # a watched tab fails for a request to another host, and for a violation


def test_the_first_paint_is_quick(base: Server, open_tab: OpenTab) -> None:
    tab = open_tab(base)
    paints = []
    for _ in range(5):
        tab.reload()
        paints.append(tab.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    assert min(paints) <= MAX_PAINT_MS, paints


def test_an_open_page_works_without_the_network(scripted: Server, open_tab: OpenTab) -> None:
    tab = open_tab(scripted)
    tab.page.set_input_files("#import-input", export_of(stored_transcript()))
    tab.wait_for("#transcript-list .open")
    tab.page.context.set_offline(True)
    tab.click("#transcript-list .open")
    tab.wait_for("#segments li")
    tab.put_caret(0, 0)
    tab.page.keyboard.type("Offline ")
    assert tab.save("txt").startswith(b"Offline ")
    assert tab.save("docx").startswith(b"PK")
    tab.wait(lambda: tab.stored()[0]["segments"][0]["text"].startswith(" Offline "))
    tab.page.context.set_offline(False)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.*")), ids=lambda path: path.name)
def test_no_file_names_another_host(path: Path) -> None:
    known = {"http://www.w3.org/2000/svg", "http://schemas.openxmlformats.org"}
    assert set(re.findall(r"https?://[^\"'`\s$<]*[a-z]", path.read_text(encoding="utf-8"))) <= known


def test_page_and_docs_link_to_each_other(scripted: Server, open_tab: OpenTab) -> None:
    tab = open_tab(scripted)
    tab.click("#docs-link")
    tab.wait_for("#docs .opblock")
    tab.click("text=Transcribe in the browser")
    tab.wait_for("#welcome")
