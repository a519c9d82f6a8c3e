"""Correcting: times are kept, everything can be undone, and nothing is lost by a reload or another tab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.page.tab import Tab, export_of, watch
from tests.page.transcripts import stored_transcript
from tests.server.running import Server

if TYPE_CHECKING:
    from tests.page.conftest import OpenTab

pytestmark = pytest.mark.page

FIVE = stored_transcript(num_segments=5)


def first_segment(tab: Tab) -> dict[str, Any]:
    (transcript,) = tab.stored()
    segment: dict[str, Any] = transcript["segments"][0]
    return segment


def wait_saved(tab: Tab) -> None:
    tab.wait(lambda: tab.text("#save-state") == "Saved in this browser")


@pytest.fixture
def tab(scripted: Server, open_tab: OpenTab) -> Tab:
    """A transcript of five passages is open."""
    tab = open_tab(scripted)
    tab.page.set_input_files("#import-input", export_of(FIVE))
    tab.click("#transcript-list .open")
    tab.wait_for("#segments li")
    return tab


def test_a_corrected_word_is_there_after_a_reload_and_all_others_keep_their_times(tab: Tab) -> None:
    before = FIVE["segments"][0]
    text = before["text"].strip()
    second = text.split()[1]
    tab.put_caret(0, text.index(" ") + 1)
    tab.page.keyboard.press("Control+Delete")
    tab.page.keyboard.type("Grace Hopper")
    wait_saved(tab)
    tab.reload()
    tab.click("#transcript-list .open")
    assert tab.texts()[0] == text.replace(f" {second} ", " Grace Hopper ", 1)
    after = first_segment(tab)
    assert after["text"] == f" {tab.texts()[0]}"
    assert "".join(word["text"] for word in after["words"]) == after["text"]
    assert after["words"][0] == before["words"][0]
    assert after["words"][3:] == before["words"][2:]
    grace, hopper = after["words"][1:3]
    assert grace["startMs"] == before["words"][1]["startMs"]
    assert grace["endMs"] == hopper["startMs"]
    assert hopper["endMs"] == before["words"][1]["endMs"]


def test_somebody_who_types_without_a_pause_is_saved_meanwhile(tab: Tab) -> None:
    tab.put_caret(0, 0)
    was_saved = False
    for _ in range(50):
        tab.page.keyboard.type("x", delay=100)
        was_saved = was_saved or first_segment(tab)["text"].startswith(" xxx")
    assert was_saved


def test_every_change_is_undone_and_redone_in_order(tab: Tab) -> None:
    seen = [tab.texts()]

    def note() -> None:
        seen.append(tab.texts())

    tab.put_caret(1, 0)
    tab.page.keyboard.type("So ")
    note()
    tab.put_caret(2, 9)
    tab.page.keyboard.press("Enter")
    note()
    tab.put_caret(1, 0)
    tab.page.keyboard.press("Backspace")
    note()
    tab.put_caret(0, 3)
    tab.page.keyboard.press("Control+Enter")
    note()
    for expected in reversed(seen[:-1]):
        tab.page.keyboard.press("Control+z")
        assert tab.texts() == expected
    assert tab.page.is_disabled("#undo-button")
    for expected in seen[1:]:
        tab.click("#redo-button")
        assert tab.texts() == expected
    assert tab.page.is_disabled("#redo-button")


def test_a_passage_is_divided_at_the_caret_between_its_words(tab: Tab) -> None:
    before = FIVE["segments"][0]
    words = before["text"].split()
    tab.put_caret(0, len(" ".join(words[:4])))
    tab.page.keyboard.press("Enter")
    assert tab.texts()[:2] == [" ".join(words[:4]), " ".join(words[4:])]
    assert tab.page.evaluate("getSelection().anchorOffset") == 0
    wait_saved(tab)
    first, second = tab.stored()[0]["segments"][:2]
    assert (first["words"], second["words"]) == (before["words"][:4], before["words"][4:])
    assert (first["endMs"], second["startMs"]) == (before["words"][3]["endMs"], before["words"][4]["startMs"])
    tab.page.keyboard.press("Backspace")
    wait_saved(tab)
    assert first_segment(tab)["words"] == before["words"]
    assert tab.page.evaluate("getSelection().anchorOffset") == len(" ".join(words[:4]))


def test_pasted_lines_become_one_line(tab: Tab) -> None:
    tab.put_caret(0, 0)
    tab.page.evaluate("""() => {
        const dataTransfer = new DataTransfer();
        dataTransfer.setData("text/plain", "one\\ntwo\\r\\n three ");
        const paste = { dataTransfer, inputType: "insertFromPaste", bubbles: true, cancelable: true };
        document.activeElement.dispatchEvent(new InputEvent("beforeinput", paste));
    }""")
    assert tab.texts()[0].startswith("one two three ")
    assert tab.page.locator("#segments .words >> nth=0").inner_html().startswith("one two three ")


def test_an_emptied_passage_is_not_part_of_the_text_and_can_be_written_again(tab: Tab) -> None:
    tab.put_caret(0, 0)
    tab.page.keyboard.press("Control+a")
    tab.page.keyboard.press("Delete")
    assert tab.texts()[0] == ""
    second = tab.texts()[1]
    assert tab.save("txt").decode().startswith(second)
    tab.put_caret(0, 0)
    tab.page.keyboard.type("New words here")
    wait_saved(tab)
    segment = first_segment(tab)
    assert [word["text"].strip() for word in segment["words"]] == ["New", "words", "here"]
    assert (segment["words"][0]["startMs"], segment["words"][-1]["endMs"]) == (segment["startMs"], segment["endMs"])


def test_a_speaker_is_named_from_here_on_and_renamed_everywhere(tab: Tab) -> None:
    def name(index: int, text: str, scope: str) -> None:
        tab.page.hover(f"#segments > li >> nth={index}")
        tab.click(f"#segments .speaker >> nth={index}")
        tab.page.fill("#speaker-input", text)
        tab.page.check(f"[name=scope][value={scope}]")
        tab.click("#speaker-dialog [value=ok]")

    def wait_for_speakers(*expected: str) -> None:
        tab.wait(lambda: [segment["speaker"] for segment in tab.stored()[0]["segments"]] == [*expected], str(expected))

    name(0, "Ann", "onward")
    wait_for_speakers(*["Ann"] * 5)
    name(2, "Bob", "onward")
    name(4, "Ann", "here")
    wait_for_speakers("Ann", "Ann", "Bob", "Bob", "Ann")
    name(0, "Grace", "everywhere")
    wait_for_speakers("Grace", "Grace", "Bob", "Bob", "Grace")
    shown = tab.page.locator("#segments .speaker:not(.same)").all_text_contents()
    assert shown == ["Grace", "Bob", "Grace"]
    assert tab.save("timed").decode().splitlines()[2].startswith("[0:00:08] Bob: ")
    tab.click("#undo-button")
    wait_for_speakers("Ann", "Ann", "Bob", "Bob", "Ann")


def test_words_are_found_and_replaced(tab: Tab) -> None:
    text = "\n".join(tab.texts())
    tab.page.keyboard.press("Control+f")
    tab.page.fill("#find-input", "THE")
    num = text.lower().count("the")
    assert tab.text("#find-count") == f"– of {num}"
    assert [found.lower() for found in tab.lit("found")] == ["the"] * num
    tab.page.keyboard.press("Enter")
    assert tab.text("#find-count") == f"1 of {num}"
    assert len(tab.lit("found-now")) == 1
    tab.page.fill("#replace-input", "THEIR")
    tab.click("#replace-all")
    assert "\n".join(tab.texts()) == text.replace("the", "THEIR")
    tab.page.keyboard.press("Escape")
    tab.click("#undo-button")
    assert "\n".join(tab.texts()) == text


def test_the_list_finds_a_transcript_by_its_text(tab: Tab) -> None:
    other = {**stored_transcript(num_segments=3), "title": "Other"}
    other["segments"][1]["text"] += " xylophone"
    tab.page.set_input_files("#import-input", export_of(other))
    tab.wait(lambda: tab.page.locator("#transcript-list li").count() == 2)
    tab.page.fill("#list-search", "Xylophone")
    tab.wait(lambda: tab.page.locator(".item-title").all_text_contents() == ["Other"])
    tab.page.fill("#list-search", "nowhere")
    tab.wait(lambda: tab.text("#list-empty") == "Nothing found.")


def test_two_tabs_lose_nothing(tab: Tab) -> None:
    second = Tab(tab.page.context.new_page(), tab.url)
    watch(second)
    second.page.goto(tab.url)
    second.wait_for("#transcript-list .open")
    second.click("#transcript-list .open")
    second.wait_for("#segments li")
    second.put_caret(0, 0)
    second.page.keyboard.type("Second ")
    wait_saved(second)
    tab.put_caret(1, 0)
    tab.page.keyboard.type("First ")
    tab.wait(lambda: "changed in another tab" in tab.text("#alerts"))
    tab.wait(lambda: len(tab.stored()) == 2)
    kept = {transcript["title"]: [segment["text"] for segment in transcript["segments"]] for transcript in tab.stored()}
    assert kept["5 passages"][0].startswith(" Second ")
    assert kept["5 passages (2)"][1].startswith(" First ")
    assert tab.page.input_value("#title-input") == "5 passages (2)"
    tab.click("#transcript-list .open:has-text('5 passages'):not(:has-text('(2)'))")
    tab.wait(lambda: tab.texts()[0].startswith("Second "))
    assert second.problems == []


def test_everything_is_exported_imported_and_forgotten(tab: Tab, tmp_path: Path) -> None:
    tab.put_caret(0, 0)
    tab.page.keyboard.type("Kept ")
    tab.click("#settings-button")
    with tab.page.expect_download() as started:
        tab.click("#export-button")
    export = tmp_path / "export.json"
    started.value.save_as(export)
    assert [item["title"] for item in json.loads(export.read_text())["transcripts"]] == ["5 passages"]
    tab.click("#forget-button")
    tab.click("#confirm-ok")
    tab.wait(lambda: tab.stored() == [])
    assert tab.page.is_visible("#welcome")
    tab.page.set_input_files("#import-input", export)
    tab.click("#transcript-list .open")
    assert tab.texts()[0].startswith("Kept ")
    tab.page.set_input_files("#import-input", {"name": "x.json", "mimeType": "application/json", "buffer": b"[1]"})
    tab.wait(lambda: "x.json is not an export of this page" in tab.text("#alerts"))


def test_deleting_asks_first(tab: Tab) -> None:
    tab.click("#transcript-list .remove")
    tab.click("#confirm-dialog [value=cancel]")
    assert len(tab.stored()) == 1
    tab.click("#transcript-list .remove")
    tab.click("#confirm-ok")
    tab.wait(lambda: tab.stored() == [])
    assert tab.page.locator("#transcript-list li").count() == 0
    assert tab.page.is_visible("#welcome")


@pytest.mark.parametrize(
    "changes",
    [
        {"segments": [{"startMs": -1, "endMs": 5, "text": "x"}]},
        {"segments": [{"startMs": 9, "endMs": 5, "text": "x"}]},
        {"segments": [{"startMs": 0, "endMs": 5}]},
        {"segments": [None]},
        {"segments": [{"startMs": 0, "endMs": 1e400, "text": "x"}]},
        {"title": 5},
        {"id": "../x"},
        {"id": None},
        {"createdMs": "yesterday"},
    ],
)
def test_a_damaged_export_is_refused_as_a_whole(scripted: Server, open_tab: OpenTab, changes: dict[str, Any]) -> None:
    tab = open_tab(scripted)
    tab.page.set_input_files("#import-input", export_of(FIVE, {**FIVE, "id": "other", **changes}))
    tab.wait(lambda: "export.json is not an export of this page" in tab.text("#alerts"))
    assert tab.stored() == []


def test_an_odd_export_opens_plays_and_is_written_in_every_format(scripted: Server, open_tab: OpenTab) -> None:
    markup = "<img src=x onerror=alert(1)>"
    segments = [
        {"startMs": 3000, "endMs": 3000, "text": f" {markup}", "words": [{"startMs": 0, "endMs": 9, "text": "other"}]},
        {"startMs": 0, "endMs": 2000, "text": " \u202eabc \u0007", "doubts": ["unknown"], "speaker": markup},
        {"startMs": 9000, "endMs": 9500, "text": "", "omitted": ["no_speech"], "__proto__": {"text": "x"}},
    ]
    odd = {"title": markup * 20, "language": "english!", "state": "running", "note": "x", "segments": segments}
    given = {"id": "odd", "createdMs": 0, "changedMs": 1, "audioMs": 10_000, **odd}
    tab = open_tab(scripted)
    tab.page.set_input_files("#import-input", export_of(given))
    tab.click("#transcript-list .open")
    tab.wait_for("#segments li")
    assert [text.strip() for text in tab.texts()] == ["\u202eabc \u0007".strip(), markup]
    assert tab.page.locator("img").count() == 0
    for name in ("txt", "timed", "srt", "vtt", "json", "docx"):
        assert tab.save(name)
    tab.put_caret(1, 0)
    tab.page.keyboard.type("still ")
    assert tab.texts()[1] == f"still {markup}"
