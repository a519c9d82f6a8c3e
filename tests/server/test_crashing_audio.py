"""A file that crashes the engine, over HTTP: three crashes whatever its clients do, and everybody else is served."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from asr_api.benchmark.speech import wav_bytes
from tests.engines.scripted import CRASH, number_pcm
from tests.server.running import Server, serving, wav

OPENAI = "/v1/audio/transcriptions"
WAIT_S = 60  # a busy machine takes long for three starts of the engine


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, {"n_slots": 4, "step_s": 0.01}, RESULT_CACHE_S="600") as running:
        yield running


def poison(number: int) -> bytes:
    return wav_bytes(np.concatenate((number_pcm([number]), number_pcm([66], mark=CRASH))))


def text(server: Server, audio: bytes) -> str:
    """Sends it again while the engine restarts."""
    while (reply := server.transcribe(audio)).status_code == 503:
        time.sleep(0.2)
    return str(reply.json()["text"])


def code(reply: httpx.Response) -> tuple[int, str]:
    error = reply.json()["error"]
    return reply.status_code, error["code"] if isinstance(error, dict) else reply.json()["code"]


def test_poison_costs_three_crashes_whoever_sends_it_and_with_whatever_options(server: Server) -> None:
    audio = poison(1)
    with server.http(WAIT_S) as http, ThreadPoolExecutor(20) as pool:
        innocents = [pool.submit(text, server, wav(number)) for number in range(1, 17)]
        first = http.post("/asr", content=audio)
        assert (code(first), first.headers["x-should-retry"]) == ((500, "request_crashed_worker"), "false")
        server.wait_for_metric("asr_engine_ready", 1, WAIT_S)
        again = [
            http.post("/asr", content=audio),
            http.post("/asr?words=true&language=de", content=audio),
            http.post("/asr", content=audio, headers={"x-api-key": "another"}),
            http.post(OPENAI, files={"file": ("a.wav", audio)}, data={"temperature": "0.5"}),
        ]
        assert {code(reply) for reply in again} == {(422, "request_crashed_worker")}
        assert {reply.headers["x-should-retry"] for reply in again} == {"false"}
        assert [future.result() for future in innocents] == [f" {number}" for number in range(1, 17)]
    assert server.metric("asr_engine_restarts_total") == 3


def test_clients_that_send_the_same_poison_at_once_cost_three_crashes(server: Server) -> None:
    audio = poison(2)

    def send(number: int) -> httpx.Response:
        with server.http(WAIT_S) as http:
            return http.post(f"/asr?temperature=0.{number}", content=audio)

    with ThreadPoolExecutor(8) as pool:
        codes = {code(reply) for reply in pool.map(send, range(8))}
    assert codes <= {(500, "request_crashed_worker"), (422, "request_crashed_worker"), (503, "engine_restarting")}
    assert server.metric("asr_engine_restarts_total") <= 3
