"""Files on the page: text while it is transcribed, progress, the queue, cancelling, servers that are full or away."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.page.tab import numbers
from tests.product.samples import SAMPLES
from tests.server.running import Server, serving, wav

if TYPE_CHECKING:
    from tests.page.conftest import OpenTab

pytestmark = pytest.mark.page

SLOW = {"n_slots": 1, "step_s": 0.4}  # a window takes as long
LONG = range(1, 131)  # numbers of a recording of 130 s, which is several windows


def test_the_text_appears_before_the_end_and_is_that_of_the_server(tmp_path: Path, open_tab: OpenTab) -> None:
    with serving(tmp_path, SLOW) as server:
        tab = open_tab(server)
        tab.drop("count.wav", wav(*LONG))
        tab.wait_for("#segments .words")
        seen = [numbers(tab.texts())]
        assert 0 < len(seen[0]) < len(LONG)
        assert re.match(r"Transcribing · \d+%", tab.text(".job-text"))
        assert 0 < tab.page.evaluate("document.querySelector('.job progress').value") < 1
        assert tab.page.get_attribute("#segments .words >> nth=0", "contenteditable") == "false"
        while tab.num_complete() == 0:
            seen.append(numbers(tab.texts()))
        assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(seen))
        assert numbers(tab.texts()) == [*LONG]
        assert tab.page.get_attribute("#segments .words >> nth=0", "contenteditable") == "plaintext-only"
        assert tab.page.is_hidden("#job-panel")
        assert len(tab.posts) == 1
        tab.wait(lambda: tab.audio("duration") == 130, "the recording in the player")


def test_several_files_are_transcribed_in_a_queue(tmp_path: Path, open_tab: OpenTab) -> None:
    with serving(tmp_path, {"step_s": 0.3}) as server:
        tab = open_tab(server)
        tab.choose(*[(f"{number}.wav", wav(number)) for number in range(1, 6)])
        tab.wait_for("#transcript-list li")
        details = tab.page.locator(".item-detail")
        tab.wait(lambda: sum(text.startswith("Waiting") for text in details.all_text_contents()) == 3)
        tab.wait_until_complete(5)
        found = {transcript["title"]: transcript["segments"][0]["text"] for transcript in tab.stored()}
        assert found == {str(number): f" {number}" for number in range(1, 6)}
        assert len(tab.posts) == 5


def test_each_running_transcription_shows_its_progress(tmp_path: Path, open_tab: OpenTab) -> None:
    with serving(tmp_path, {"n_slots": 2, "step_s": 0.4}) as server:
        tab = open_tab(server)
        tab.choose(("one.wav", wav(*LONG)), ("two.wav", wav(*reversed(LONG))))
        shares = "[...document.querySelectorAll('#transcript-list progress')].map((bar) => bar.value)"
        tab.wait(lambda: all(0 < share < 1 for share in tab.page.evaluate(shares)))
        assert len(tab.page.evaluate(shares)) == 2
        tab.wait_until_complete(2)


def test_cancelling_frees_the_engine_and_keeps_the_text_so_far(tmp_path: Path, open_tab: OpenTab) -> None:
    with serving(tmp_path, {**SLOW, "step_s": 1.0}) as server:
        tab = open_tab(server)
        tab.choose(("count.wav", wav(*LONG)))
        tab.wait_for("#segments .words")
        tab.click(".job-cancel")
        tab.wait(lambda: "ended early" in tab.text(".job-text"))
        assert tab.page.is_visible(".job-retry")
        for name in ("asr_open_requests", "asr_busy_slots", "asr_queued_windows"):
            server.wait_for_metric(name, 0)
        (transcript,) = tab.stored()
        assert transcript["state"] == "incomplete"
        assert 0 < len(transcript["segments"]) < len(LONG)


def test_a_cancelled_upload_without_text_leaves_nothing(tmp_path: Path, open_tab: OpenTab) -> None:
    with serving(tmp_path, {"step_s": 3.0}) as server:
        tab = open_tab(server)
        tab.choose(("count.wav", wav(1, 2)))
        tab.click(".job-cancel")
        tab.wait(lambda: tab.page.locator("#transcript-list li").count() == 0)
        tab.wait(lambda: tab.stored() == [])
        assert tab.page.is_visible("#welcome")


def test_a_full_server_is_shown_with_its_time_and_tried_again(tmp_path: Path, open_tab: OpenTab) -> None:
    with serving(tmp_path, {"step_s": 4.0}, MAX_REQUESTS="1") as server, server.connect() as other:
        tab = open_tab(server)
        audio = wav(1, 2)
        other.sendall(b"POST /asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(audio) + audio)
        server.wait_for_metric("asr_open_requests", 1)
        tab.choose(("third.wav", wav(3)))
        tab.wait_for(".job-error:not([hidden])")
        assert re.search(r"Waiting for the server · next try in \d+ (sec|min)", tab.text(".job-text"))
        assert "the limit (MAX_REQUESTS)" in tab.text(".job-error")
        tab.wait_until_complete()
        assert numbers(tab.texts()) == [3]


def test_a_server_that_comes_back_gets_the_recording_again(tmp_path: Path, open_tab: OpenTab) -> None:
    with serving(tmp_path, SLOW) as server:
        tab = open_tab(server)
        tab.choose(("count.wav", wav(*LONG)))
        tab.wait_for("#segments .words")
        server.process.kill()
        server.process.wait()
        tab.wait_for(".job-error:not([hidden])")
        assert "broke off" in tab.text(".job-error")
    with serving(tmp_path, PORT=str(server.port)):
        tab.wait_until_complete()
        assert numbers(tab.texts()) == [*LONG]


def test_a_file_that_is_no_audio_shows_the_server_s_sentence(scripted: Server, open_tab: OpenTab) -> None:
    tab = open_tab(scripted)
    tab.choose(("letter.txt", b"Dear Sir or Madam, this is no audio at all." * 10))
    tab.wait_for(".job-error:not([hidden])")
    reply = scripted.transcribe(b"Dear Sir or Madam, this is no audio at all." * 10)
    assert tab.text(".job-error") == reply.json()["error"]
    assert tab.page.is_visible(".job-retry")
    assert "Failed" in tab.text(".item-detail")


def test_silence_is_called_silence(scripted: Server, open_tab: OpenTab) -> None:
    tab = open_tab(scripted)
    assert tab.transcribe(("silence.wav", wav())) == []
    assert tab.text("#text-note") == "No speech was found in this recording."


def test_options_become_parameters(scripted: Server, open_tab: OpenTab) -> None:
    tab = open_tab(scripted)
    tab.click("#options summary")
    tab.page.select_option("#language-select", "de")
    tab.page.fill("#hotwords-input", "Grace Hopper")
    tab.page.check("#translate-check")
    tab.page.check("#vad-check")
    assert tab.page.locator("#language-select option").all_text_contents() == ["Detect", "English", "French", "German"]
    assert tab.transcribe(("count.wav", wav(7)))[0] == "7e"  # as the scripted engine translates
    query = tab.posts[0].url.partition("?")[2]
    assert query == "words=true&language=de&hotwords=Grace+Hopper&task=translate&vad=true"


def test_doubtful_and_omitted_text_is_marked_and_can_be_inserted(tmp_path: Path, open_tab: OpenTab) -> None:
    with serving(tmp_path, {"doubtful": [2], "hallucinated": [3]}) as server:
        tab = open_tab(server)
        assert tab.transcribe(("count.wav", wav(1, 2, 3, 4))) == ["1", "2", "4"]
        tab.wait(lambda: tab.lit("doubt") == ["2"], "the mark of the doubtful word")
        assert "the model was unsure" in tab.text("#segments")
        assert tab.text(".omitted-text") == "Left out, because there seems to be no speech: “3”"
        assert b"3" not in tab.save("txt")
        tab.click(".insert")
        assert tab.texts() == ["1", "2", "3", "4"]
        assert tab.save("txt") == b"1 2 3 4\n"
        tab.click("#undo-button")
        assert tab.texts() == ["1", "2", "4"]


def test_a_key_is_asked_for_and_kept_for_the_tab(tmp_path: Path, open_tab: OpenTab) -> None:
    with serving(tmp_path, API_KEYS="alice:alice-0123456789") as server:
        tab = open_tab(server, key="alice-0123456789")
        assert tab.transcribe(("count.wav", wav(5))) == ["5"]
        assert tab.posts[0].headers["authorization"] == "Bearer alice-0123456789"
        assert tab.page.is_hidden("#docs-link")
        tab.reload()
        assert tab.page.is_hidden("#key-dialog")


@pytest.mark.parametrize("name", ["hello.wav", "timer.mp3", "weather.m4a", "digits.opus", "money.webm", "film.mp4"])
def test_the_recording_plays_from_the_user_s_disk(scripted: Server, open_tab: OpenTab, name: str) -> None:
    tab = open_tab(scripted)
    tab.choose(SAMPLES / name)
    tab.wait(lambda: (tab.audio("duration") or 0) > 1, "its length")
    tab.click("#play-button")
    tab.wait(lambda: tab.audio("currentTime") > 0.3, "sound")
    tab.wait_until_complete()
    (transcript,) = tab.stored()
    assert transcript["audioMs"] == pytest.approx(tab.audio("duration") * 1000, abs=100)
    assert json.dumps(transcript).count("blob:") == 0


def test_a_file_that_cannot_be_read_is_called_so(scripted: Server, open_tab: OpenTab, tmp_path: Path) -> None:
    tab = open_tab(scripted)
    path = tmp_path / "moved.wav"
    path.write_bytes(wav(1))
    tab.page.evaluate(
        """() => {
            globalThis.readable = Blob.prototype.slice;
            Blob.prototype.slice = () => ({ arrayBuffer: () => Promise.reject(new Error()) });
        }"""
    )
    tab.choose(path)
    tab.wait_for(".job-error:not([hidden])")
    assert "cannot be read" in tab.text(".job-error")
    tab.page.evaluate("() => { Blob.prototype.slice = globalThis.readable; }")
    tab.click(".job-retry")
    tab.wait_until_complete()
    assert tab.texts() == ["1"]


def test_a_file_above_the_limit_shows_the_limit(tmp_path: Path, open_tab: OpenTab) -> None:
    with serving(tmp_path, MAX_UPLOAD_MB="1") as server:
        tab = open_tab(server)
        tab.choose(("large.wav", wav(*range(1, 200))))
        tab.wait_for(".job-retry:not([hidden])")
        assert "MAX_UPLOAD_MB" in tab.text(".job-error")
        assert len(tab.posts) == 1


def test_trying_again_keeps_what_was_corrected(tmp_path: Path, open_tab: OpenTab) -> None:
    with serving(tmp_path, {"step_s": 1.0, "n_slots": 1}) as server:
        tab = open_tab(server)
        tab.choose(("count.wav", wav(*range(1, 61))))
        tab.wait_for("#segments .words")
        tab.click(".job-cancel")
        tab.wait_for(".job-retry:not([hidden])")
        tab.put_caret(0, 0)
        tab.page.keyboard.type("Corrected ")
        tab.click(".job-retry")
        tab.wait_until_complete()
        assert numbers(tab.texts()) == [*range(1, 61)]
        assert any(item["segments"][0]["text"].startswith(" Corrected ") for item in tab.stored())


def test_the_open_transcript_is_part_of_the_address(scripted: Server, open_tab: OpenTab) -> None:
    tab = open_tab(scripted)
    tab.transcribe(("one.wav", wav(1)))
    tab.transcribe(("two.wav", wav(2)))
    tab.reload()
    tab.wait(lambda: tab.texts() == ["2"])
    tab.page.go_back()
    tab.wait(lambda: tab.texts() == ["1"])
    tab.page.go_back()
    tab.wait_for("#welcome")
    tab.page.go_forward()
    tab.wait(lambda: tab.texts() == ["1"])
