"""For everyone: axe finds nothing, the keyboard does everything, every language and width fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.page.tab import Tab, export_of
from tests.page.transcripts import stored_transcript
from tests.server.running import Server, serving, wav

if TYPE_CHECKING:
    from tests.page.conftest import OpenTab

pytestmark = pytest.mark.page

PHONE = {"width": 390, "height": 844}
LOCALES = ["en-US", "de-DE", "fr-FR", "es-ES", "ar-EG"]
MIN_TARGET_PX = 24  # WCAG 2.2 AA; most are 44


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(tmp_path_factory.mktemp("server"), {"doubtful": [2], "hallucinated": [3]}) as server:
        yield server


def findings(tab: Tab) -> list[str]:
    """Of axe-core, in one line each."""
    from axe_playwright_python.base import AXE_FILE_PATH

    # The policy of the page allows no script of others; axe comes in through the debugger.
    tab.page.evaluate(Path(AXE_FILE_PATH).read_text(encoding="utf-8"))
    violations = tab.page.evaluate("axe.run().then(({ violations }) => violations)")
    return [
        f"{violation['id']}: {violation['help']} {node['html'][:200]} {node['failureSummary'][:300]}"
        for violation in violations
        for node in violation["nodes"]
    ]


def open_transcript(tab: Tab) -> None:
    tab.transcribe(("count.wav", wav(1, 2, 3, 4)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, {"width": 1440, "height": 900}], ids=["phone", "desk"])
def test_axe_finds_nothing(server: Server, open_tab: OpenTab, scheme: str, viewport: dict[str, int]) -> None:
    tab = open_tab(server, color_scheme=scheme, viewport=viewport)
    assert findings(tab) == []
    tab.click("#options summary")
    open_transcript(tab)
    assert findings(tab) == []
    for button, dialog in (("help", "help"), ("settings", "settings"), ("download", "download")):
        tab.click(f"#{button}-button")
        tab.wait_for(f"#{dialog}-dialog")
        assert findings(tab) == [], dialog
        tab.page.keyboard.press("Escape")


@pytest.mark.parametrize(
    ("locale", "width"),
    [*((locale, width) for locale in LOCALES for width in (320, 1440)), ("en-US", 390), ("en-US", 820)],
)
def test_nothing_is_cut_off_in_any_language(server: Server, open_tab: OpenTab, locale: str, width: int) -> None:
    tab = open_tab(server, locale=locale, viewport={"width": width, "height": 800})

    def check() -> None:
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        small = tab.page.evaluate(
            """(min) => [...document.querySelectorAll("button, a, select, input:not([type=checkbox], [type=radio])")]
                .map((element) => [element, element.getBoundingClientRect()])
                .filter(([element, { width }]) => width && !element.matches(".skip"))
                .filter(([, { width, height }]) => Math.min(width, height) < min)
                .map(([element]) => element.outerHTML.slice(0, 100))""",
            MIN_TARGET_PX,
        )
        assert small == []

    check()
    open_transcript(tab)
    check()
    assert tab.page.evaluate("document.documentElement.dir") == ("rtl" if locale == "ar-EG" else "ltr")
    assert tab.page.evaluate("document.documentElement.lang") == locale[:2]


def test_arabic_is_mirrored_and_a_choice_stays(server: Server, open_tab: OpenTab) -> None:
    tab = open_tab(server)
    tab.click("#settings-button")
    tab.page.select_option("#interface-select", "ar")
    box = tab.page.locator("#library").bounding_box()
    assert box
    assert box["x"] > 700
    tab.reload()
    assert tab.page.evaluate("document.documentElement.dir") == "rtl"


def test_right_to_left_text_is_shown_so_beside_other_text(server: Server, open_tab: OpenTab) -> None:
    transcript = stored_transcript(num_segments=2)
    transcript["segments"][0].update(text=" مرحبا بالعالم", words=[])
    tab = open_tab(server)
    tab.page.set_input_files("#import-input", export_of(transcript))
    tab.click("#transcript-list .open")
    tab.wait_for("#segments li")
    directions = tab.page.evaluate(
        "[...document.querySelectorAll('#segments .words')].map((text) => getComputedStyle(text).direction)"
    )
    assert directions == ["rtl", "ltr"]


def test_the_keyboard_alone_opens_corrects_and_downloads(server: Server, open_tab: OpenTab) -> None:
    tab = open_tab(server)
    tab.page.set_input_files("#import-input", export_of(stored_transcript()))
    tab.wait_for("#transcript-list .open")
    press = tab.page.keyboard.press

    def tab_to(selector: str) -> None:
        for _ in range(60):
            press("Tab")
            if tab.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(selector)

    tab_to("#transcript-list .open")
    press("Enter")
    tab.wait_for("#segments li")
    tab_to("#segments .words")
    tab.page.keyboard.type("By keyboard: ")
    press("ArrowDown")
    press("Control+s")
    tab.wait_for("#download-dialog")
    tab_to("#download-save")
    with tab.page.expect_download() as started:
        press("Enter")
    assert Path(started.value.path()).read_text(encoding="utf-8").startswith("By keyboard: ")


def test_motion_is_reduced_and_large_type_is_a_key(server: Server, open_tab: OpenTab) -> None:
    tab = open_tab(server, reduced_motion="reduce")
    open_transcript(tab)
    before = tab.page.evaluate("getComputedStyle(document.querySelector('#segments .words')).fontSize")
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.keyboard.press("f")
    after = tab.page.evaluate("getComputedStyle(document.querySelector('#segments .words')).fontSize")
    assert float(after[:-2]) > 1.5 * float(before[:-2])


def test_on_paper_there_is_only_the_transcript(server: Server, open_tab: OpenTab) -> None:
    tab = open_tab(server)
    open_transcript(tab)
    tab.page.emulate_media(media="print")
    for selector in ("header", "#library", ".toolbar", "#player"):
        assert tab.page.is_hidden(selector), selector
    assert tab.page.is_visible("#segments .words >> nth=0")


def test_a_touch_screen_plays_at_a_touch_and_corrects_after_a_button(server: Server, open_tab: OpenTab) -> None:
    tab = open_tab(server, viewport=PHONE, has_touch=True, is_mobile=True)
    open_transcript(tab)
    assert tab.page.get_attribute("#segments .words >> nth=0", "contenteditable") == "false"
    tab.page.tap("#segments .words >> nth=1")
    tab.wait(lambda: not tab.audio("paused"))
    tab.page.tap("#edit-button")
    assert tab.page.get_attribute("#segments .words >> nth=0", "contenteditable") == "plaintext-only"
