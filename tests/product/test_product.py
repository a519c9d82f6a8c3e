"""The server with the built-in model as a new user finds it: files of every container, load, and a killed engine."""

from __future__ import annotations

import signal
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from asr_api.benchmark.speech import wav_bytes
from asr_api.pcm import SAMPLE_RATE_HZ
from tests.product.samples import SAMPLES, running_server, sample_texts, words
from tests.server.running import Server

TEXTS = sample_texts()
LONGEST = max(TEXTS, key=lambda name: len(TEXTS[name]))
AUDIO = (SAMPLES / LONGEST).read_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.mark.parametrize("name", TEXTS)
def test_every_sample_gives_its_words(server: Server, name: str) -> None:
    reply = server.transcribe((SAMPLES / name).read_bytes())
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert words(body["text"]) == words(TEXTS[name])
    assert set(body) == {"text", "chunks"}
    assert "".join(chunk["text"] for chunk in body["chunks"]) == body["text"]
    times = [time_s for chunk in body["chunks"] for time_s in chunk["timestamp"]]
    assert times == sorted(times)
    assert times[-1] <= float(reply.headers["x-audio-length"]) + 0.001
    assert reply.headers["x-model-id"] == "builtin"


def test_a_path_silence_and_parameters(server: Server) -> None:
    with server.http() as http:
        by_path = http.post("/asr", json={"url": str(SAMPLES / LONGEST)})
        silence = http.post("/asr", content=wav_bytes(np.zeros(10 * SAMPLE_RATE_HZ, np.int16)))
        prompted = http.post("/asr?words=true&language=English&prompt=Hello", content=AUDIO)
        detected = http.post("/asr?language=Auto", content=AUDIO)
        german = http.post("/asr?language=de", content=AUDIO)
    assert words(by_path.json()["text"]) == words(prompted.json()["text"]) == words(TEXTS[LONGEST])
    assert silence.json() == {"text": "", "chunks": []}
    assert words(detected.json()["text"]) == words(TEXTS[LONGEST])
    assert prompted.headers["x-language"] == detected.headers["x-language"] == "en"
    assert (german.status_code, german.json()["code"]) == (400, "invalid_parameter")


def test_music_is_muted_on_request(server: Server) -> None:
    times_s = np.arange(8 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    chord = sum(np.sin(2 * np.pi * pitch_hz * times_s) for pitch_hz in (220, 277, 330))
    music = (chord * (1 + np.sin(3 * times_s)) * 1500).astype(np.int16)
    with wave.open(str(SAMPLES / "hello.wav")) as file:
        assert file.getframerate() == SAMPLE_RATE_HZ
        speech = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    with server.http() as http:
        reply = http.post("/asr?vad=true", content=wav_bytes(np.concatenate((music, speech, music))))
    assert words(reply.json()["text"]) == words(TEXTS["hello.wav"])
    assert reply.json()["chunks"][0]["timestamp"][0] == pytest.approx(8.4, abs=0.3)
    assert float(reply.headers["x-audio-length"]) == pytest.approx(16 + len(speech) / SAMPLE_RATE_HZ, abs=0.01)


def test_requests_share_batches(server: Server) -> None:
    before = server.metric("asr_shared_batches_total")
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(server.transcribe, [AUDIO] * 8))
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.text for reply in replies}) == 1
    assert server.metric("asr_shared_batches_total") > before


def test_requests_survive_a_killed_engine(server: Server) -> None:
    engine = next(child for child in psutil.Process(server.process.pid).children() if child.name() == "asr-api-engine")
    with ThreadPoolExecutor(4) as pool:
        replies = [pool.submit(server.transcribe, AUDIO) for _ in range(4)]
        server.wait_for_metric("asr_open_requests", 4)
        engine.send_signal(signal.SIGKILL)
        with server.http() as http:
            while (health := http.get("/hc").status_code) == 200 and not all(reply.done() for reply in replies):
                time.sleep(0.005)
        assert health == 503
        texts = [words(reply.result().json()["text"]) for reply in replies]
    assert texts == [words(TEXTS[LONGEST])] * 4
