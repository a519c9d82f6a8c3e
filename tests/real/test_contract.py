"""/asr with real weights: the shape of a reply, its times, and what each parameter changes."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.product.samples import sample_texts, words
from tests.real.real_server import RealServer
from tests.real.recordings import kennedy, needs_recordings, recording, sample

pytestmark = pytest.mark.real

TRUNCATION_S = 0.001  # X-Audio-Length has milliseconds


def assert_contract(reply: httpx.Response) -> None:
    body: dict[str, Any] = reply.json()
    assert set(body) <= {"text", "chunks", "omitted"}
    assert "".join(chunk["text"] for chunk in body["chunks"]) == body["text"]
    times_s = [time_s for chunk in body["chunks"] for time_s in chunk["timestamp"]]
    assert None not in times_s
    assert times_s == sorted(times_s)
    assert times_s[0] >= 0
    assert times_s[-1] <= float(reply.headers["x-audio-length"]) + TRUNCATION_S
    num_doubts = sum("doubts" in chunk for chunk in body["chunks"]) + len(body.get("omitted", ()))
    assert int(reply.headers.get("x-transcript-doubts", 0)) == num_doubts
    assert reply.headers["x-model-id"] == "openai/whisper-base"
    assert reply.headers["x-language"]
    assert reply.headers["server-timing"]
    assert float(reply.headers["x-realtime-factor"]) > 0


@pytest.mark.parametrize("name", sample_texts())
def test_a_sample(base: RealServer, name: str) -> None:
    reply = base.reply(sample(name))
    assert_contract(reply)
    assert reply.headers["x-language"] == "en"
    assert float(reply.headers["x-audio-length"]) == pytest.approx(sample(name).seconds, abs=0.05)


@needs_recordings
@pytest.mark.parametrize("name", ["other__es", "rests__jfk_room45_jfk"])
def test_a_long_recording(base: RealServer, name: str) -> None:
    assert_contract(base.reply(recording(name)))


def test_a_local_path_gives_the_same_as_its_bytes(base: RealServer) -> None:
    with base.server.http(timeout_s=60) as http:
        reply = http.post("/asr", json={"url": str(sample("weather.m4a").path)})
    assert reply.status_code == 200
    assert reply.json() == base.json(sample("weather.m4a"))


@pytest.mark.parametrize("name", ["minute.mp3", "weather.m4a", "dates.ogg"])
def test_words_are_the_text_within_the_times_of_their_chunks(base: RealServer, name: str) -> None:
    reply = base.reply(sample(name), words="true")
    assert_contract(reply)
    assert reply.json()["text"] == base.text(sample(name))
    for chunk in reply.json()["chunks"]:
        start_s, end_s = chunk["timestamp"]
        times_s = [time_s for word in chunk["words"] for time_s in word["timestamp"]]
        assert times_s == sorted(times_s)
        assert start_s <= times_s[0] <= times_s[-1] <= end_s
        assert "".join(word["text"] for word in chunk["words"]) == chunk["text"]


def test_without_timestamps_there_is_one_chunk(base: RealServer) -> None:
    reply = base.reply(sample("weather.m4a"), timestamps="false")
    assert_contract(reply)
    assert len(reply.json()["chunks"]) == 1
    assert words(reply.json()["text"]) == words(sample("weather.m4a").text)


def test_a_language_is_one_of_those_that_were_named(base: RealServer) -> None:
    weather = sample("weather.m4a")
    assert base.reply(weather, language="german").headers["x-language"] == "de"
    assert base.reply(weather, languages="de,fr").headers["x-language"] in ("de", "fr")
    assert base.reply(weather, languages="de,en").headers["x-language"] == "en"
    with base.server.http() as http:
        refused = http.post("/asr?language=klingon", content=weather.path.read_bytes())
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_parameter")


@needs_recordings
def test_german_is_translated_into_english(base: RealServer) -> None:
    german = recording("fleurs-de__fleurs_de_000")  # the best views of Hong Kong: leave the island for Kowloon
    reply = base.reply(german, task="translate")
    assert_contract(reply)
    assert reply.headers["x-language"] == "de"
    assert {"best", "island", "should"} <= set(words(reply.json()["text"])), reply.json()["text"]
    assert not {"die", "und", "insel"} & set(words(reply.json()["text"]))


@pytest.mark.parametrize("parameter", ["prompt", "hotwords"])
def test_a_name_is_spelled_as_it_was_given(base: RealServer, parameter: str) -> None:
    code = sample("code.flac")
    assert "alpha bravo" not in base.text(code).lower()
    assert "alpha bravo" in base.text(code, **{parameter: "Alpha Bravo"}).lower()


@needs_recordings
def test_a_prompt_decides_how_a_town_is_written(base: RealServer) -> None:
    town = recording("fleurs-en__fleurs_en_002")
    assert "Cintra" in base.text(town)
    assert "Sintra" in base.text(town, prompt="Sintra")
    assert "Sintra" in base.text(town, hotwords="Sintra")


@needs_recordings
def test_a_prompt_without_punctuation_is_continued_so(base: RealServer) -> None:
    """And the words stay the same."""
    plain = base.text(kennedy())
    prompted = base.text(kennedy(), prompt="he spoke to us today and we all listened to what he had to say")
    assert re.search("[,.]", plain)
    assert words(plain) == words(prompted)
