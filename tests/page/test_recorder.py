"""The microphone: a recording is kept, transcribed, playable, and survives a page that is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.page.conftest import MICROPHONE
from tests.page.tab import Tab
from tests.product.samples import words
from tests.server.running import Server

if TYPE_CHECKING:
    from tests.page.conftest import OpenTab

pytestmark = pytest.mark.page


def record(tab: Tab, seconds: float) -> None:
    tab.click("#record-button")
    tab.wait(lambda: tab.text("#record-time") != "0:00", "the clock of the recording")
    tab.wait(lambda: float(tab.page.evaluate("document.getElementById('record-level').value")) > 0.02, "a level")
    tab.page.wait_for_timeout(seconds * 1000)


def test_what_is_said_becomes_a_transcript_that_plays(base: Server, open_tab: OpenTab) -> None:
    tab = open_tab(base)
    record(tab, MICROPHONE.seconds)
    tab.click("#record-stop")
    tab.wait_until_complete()
    said, found = words(MICROPHONE.text), words(" ".join(tab.texts()))
    assert len(set(said) & set(found)) >= 0.7 * len(set(said)), found
    (transcript,) = tab.stored()
    assert transcript["title"].startswith("Recording of ")
    with base.http(60) as http:
        again = http.post("/asr", content=tab.save("audio")).json()  # the recording itself can be taken away
    assert words(again["text"]) == found
    tab.reload()
    tab.click("#transcript-list .open")
    tab.wait(lambda: (tab.audio("duration") or 0) > 4, "the recording after a reload")
    tab.click("#play-button")
    tab.wait(lambda: tab.audio("currentTime") > 0.5)


def test_a_recording_can_be_discarded(scripted: Server, open_tab: OpenTab) -> None:
    tab = open_tab(scripted)
    record(tab, 0)
    tab.click("#record-discard")
    tab.wait(lambda: tab.page.is_visible("#welcome"))
    assert (tab.stored(), tab.posts) == ([], [])


def test_a_recording_survives_a_page_that_is_closed(scripted: Server, open_tab: OpenTab) -> None:
    tab = open_tab(scripted)
    record(tab, 2.5)
    tab.page.reload()  # the question of the browser is answered with yes
    tab.wait_until_complete()
    (transcript,) = tab.stored()
    assert transcript["audioMs"] > 1500


def test_a_page_without_a_microphone_says_why(scripted: Server, open_tab: OpenTab) -> None:
    tab = open_tab(scripted)
    tab.page.evaluate(
        """() => {
            navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "NotAllowedError"); };
        }"""
    )
    tab.click("#record-button")
    tab.wait(lambda: "does not let this page use the microphone" in tab.text("#alerts"))
    assert tab.page.is_hidden("#recorder")
