"""What a new user sees: real files of every container, health, load, a dying engine, a clean end."""

from __future__ import annotations

import io
import signal
import socket
import statistics
import threading
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from asr_api.audio import vad
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from tests.product.running import SAMPLES, Running, running_server, sample_texts, words

TEXTS = sample_texts()
LONGEST = max(TEXTS, key=lambda name: len(TEXTS[name]))


def wav_of(pcm: Pcm) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm.tobytes())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.mark.parametrize("name", TEXTS)
def test_every_sample_gives_its_words(server: Running, name: str) -> None:
    reply = server.transcribe((SAMPLES / name).read_bytes())
    assert reply.status_code == 200, reply.text
    assert words(reply.json()["text"]) == words(TEXTS[name])


def test_the_reply_keeps_the_original_contract(server: Running) -> None:
    reply = server.transcribe((SAMPLES / LONGEST).read_bytes())
    body = reply.json()
    assert set(body) == {"text", "chunks"}
    assert "".join(chunk["text"] for chunk in body["chunks"]) == body["text"]
    times = [time_s for chunk in body["chunks"] for time_s in chunk["timestamp"]]
    assert times == sorted(times)
    audio_s = float(reply.headers["x-audio-length"])
    assert times[-1] <= audio_s + 0.001
    assert float(reply.headers["x-realtime-factor"]) == pytest.approx(
        audio_s / float(reply.headers["x-processing-time"]), rel=0.05
    )
    assert reply.headers["x-model-id"] == "builtin"
    assert {"x-gpu-name", "x-salad-machine-id", "x-salad-container-group-id"} <= set(reply.headers)


def test_a_path_on_the_same_machine_and_silence(server: Running) -> None:
    with server.client() as client:
        by_path = client.post("/asr", json={"url": str(SAMPLES / LONGEST)})
        silence = client.post("/asr", content=wav_of(np.zeros(10 * SAMPLE_RATE_HZ, np.int16)))
    assert words(by_path.json()["text"]) == words(TEXTS[LONGEST])
    assert silence.json() == {"text": "", "chunks": []}


def test_wishes_are_honoured_or_refused(server: Running) -> None:
    audio = (SAMPLES / LONGEST).read_bytes()
    with server.client() as client:
        reply = client.post("/asr?words=true&language=English&prompt=Hello", content=audio)
        german = client.post("/asr?language=de", content=audio)
        typo = client.post("/asr", json={"url": str(SAMPLES / LONGEST), "langauge": "en"})
        assert client.head("/hc").status_code == 200
    assert words(reply.json()["text"]) == words(TEXTS[LONGEST])
    assert reply.headers["x-language"] == "en"
    assert (german.status_code, german.json()["code"]) == (400, "invalid_parameter")
    assert (typo.status_code, typo.json()["code"]) == (400, "invalid_parameter")


@pytest.mark.skipif(not vad.is_installed(), reason="asr-api[vad] is not installed")
def test_music_is_muted_on_request(server: Running) -> None:
    times_s = np.arange(8 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    music = (
        sum(np.sin(2 * np.pi * pitch_hz * times_s) for pitch_hz in (220, 277, 330)) * (1 + np.sin(3 * times_s)) * 1500
    )
    with wave.open(str(SAMPLES / "hello.wav")) as file:
        assert file.getframerate() == SAMPLE_RATE_HZ
        speech = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    audio = wav_of(np.concatenate((music.astype(np.int16), speech, music.astype(np.int16))))
    with server.client() as client:
        reply = client.post("/asr?vad=true", content=audio)
    assert words(reply.json()["text"]) == words(TEXTS["hello.wav"])
    assert reply.json()["chunks"][0]["timestamp"][0] == pytest.approx(8.4, abs=0.3)
    assert float(reply.headers["x-audio-length"]) == pytest.approx(16 + len(speech) / SAMPLE_RATE_HZ, abs=0.01)


def test_requests_share_batches_and_health_answers_meanwhile(server: Running) -> None:
    audio = (SAMPLES / LONGEST).read_bytes()
    latencies_s: list[float] = []
    done = threading.Event()

    def watch() -> None:
        with server.client() as client:
            while not done.is_set():
                started = time.perf_counter()
                assert client.get("/hc").status_code == 200
                latencies_s.append(time.perf_counter() - started)
                time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    before = server.metric("asr_shared_batches_total")
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(server.transcribe, [audio] * 8))
    done.set()
    watcher.join()
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.text for reply in replies}) == 1
    assert server.metric("asr_shared_batches_total") > before
    assert statistics.quantiles(latencies_s, n=100)[98] < 0.5  # the strict bound is a soak test, on a quiet machine


def test_a_killed_engine_costs_no_request(server: Running) -> None:
    audio = (SAMPLES / LONGEST).read_bytes()
    with ThreadPoolExecutor(4) as pool:
        replies = [pool.submit(server.transcribe, audio) for _ in range(4)]
        time.sleep(0.15)
        server.engine().send_signal(signal.SIGKILL)
        with server.client() as client:
            while (health := client.get("/hc").status_code) == 200 and not all(reply.done() for reply in replies):
                time.sleep(0.005)
        assert health == 503
        server.wait_until_ready()
        texts = [words(reply.result().json()["text"]) for reply in replies]
    assert texts == [words(TEXTS[LONGEST])] * 4


def test_a_client_that_goes_away_frees_its_place(server: Running) -> None:
    audio = (SAMPLES / LONGEST).read_bytes()
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as gone:
        gone.sendall(b"POST /asr HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(audio) + audio)
        time.sleep(0.1)
    deadline = time.monotonic() + 1
    while server.metric("asr_open_requests") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.metric("asr_open_requests") == 0
    assert server.metric("asr_queued_windows") == 0
    assert server.metric("asr_busy_slots") == 0


def test_sigterm_finishes_what_is_in_flight_and_refuses_the_rest(tmp_path: Path) -> None:
    audio = (SAMPLES / LONGEST).read_bytes()
    with running_server(tmp_path) as server, ThreadPoolExecutor(4) as pool:
        replies = [pool.submit(server.transcribe, audio) for _ in range(4)]
        while server.metric("asr_open_requests") < 4:
            time.sleep(0.005)
        server.process.send_signal(signal.SIGTERM)
        try:
            while (refused := server.transcribe(audio)).status_code == 200:
                time.sleep(0.005)
            assert (refused.status_code, refused.json()["code"]) == (503, "server_draining")
            assert "retry-after" in refused.headers
        except httpx.ConnectError:
            assert all(reply.done() for reply in replies), "the listener closed before the last reply"
        assert [words(reply.result().json()["text"]) for reply in replies] == [words(TEXTS[LONGEST])] * 4
        assert server.process.wait(timeout=10) == 0
