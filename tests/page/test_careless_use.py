"""Random keys, clicks and drags: nothing fails, and what is kept stays a sound transcript."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.page.tab import Tab, export_of
from tests.page.transcripts import stored_transcript
from tests.server.running import Server

if TYPE_CHECKING:
    from tests.page.conftest import OpenTab

pytestmark = pytest.mark.page

KEYS = [
    *("Space", "k", "j", "l", "n", "f", "x", "Escape", "Enter", "Backspace", "Delete", "Tab", "Home", "End", "?", "/"),
    *("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "[", "]", "Alt+n"),
    *("Control+z", "Control+Shift+z", "Control+a", "Control+x", "Control+v", "Control+f", "Control+s"),
]
NUM_ACTIONS = 250


def act(tab: Tab, generator: random.Random) -> None:
    mouse = tab.page.mouse
    place = generator.randrange(340, 1190), generator.randrange(60, 700)
    kind = generator.choice(["key"] * 6 + ["click"] * 3 + ["drag", "wheel"])
    if kind == "key":
        tab.page.keyboard.press(generator.choice(KEYS))
    elif kind == "click":
        mouse.click(*place)
    elif kind == "wheel":
        mouse.wheel(0, generator.randrange(-600, 600))
    else:
        mouse.move(*place)
        mouse.down()
        mouse.move(generator.randrange(340, 1190), generator.randrange(60, 700))
        mouse.up()


def check(transcript: dict[str, Any]) -> None:
    starts = [segment["startMs"] for segment in transcript["segments"]]
    assert starts == sorted(starts)
    for segment in transcript["segments"]:
        words = segment["words"]
        assert "".join(word["text"] for word in words) == segment["text"] or not segment["text"].strip()
        times = [time_ms for word in words for time_ms in (word["startMs"], word["endMs"])]
        assert times == sorted(times)


@pytest.mark.parametrize("seed", range(3))
def test_random_use_breaks_nothing(scripted: Server, open_tab: OpenTab, seed: int) -> None:
    generator = random.Random(seed)
    tab = open_tab(scripted, viewport={"width": 1200, "height": 800})
    given = stored_transcript(num_segments=12)
    tab.page.set_input_files("#import-input", export_of(given))
    tab.click("#transcript-list .open")
    tab.wait_for("#segments li")
    for _ in range(NUM_ACTIONS):
        act(tab, generator)
    tab.page.wait_for_timeout(600)  # the last change is saved
    (transcript,) = tab.stored()
    assert transcript["segments"] != given["segments"]
    check(transcript)
