"""Repeats of a request over HTTP: the same file is transcribed once, whoever of its clients leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.server.running import Server, serving, wav

SLOW = {"n_slots": 2, "step_s": 0.1, "steps_per_window": 5}  # 0.5 s a window


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), SLOW, RESULT_CACHE_S="600") as running:
        yield running


def counts(server: Server) -> dict[str, float]:
    names = ("windows", "joined_requests", "repeated_requests", "requests")
    return {name: server.metric(f"asr_{name}_total") for name in names}


def since(server: Server, before: dict[str, float]) -> dict[str, float]:
    """What has been counted, without zeros."""
    return {name: count - before[name] for name, count in counts(server).items() if count != before[name]}


def upload(audio: bytes) -> bytes:
    head = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(audio)
    return head + audio


def test_the_same_file_is_transcribed_once(server: Server) -> None:
    before = counts(server)
    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(server.transcribe, [wav(1, 2)] * 2))
    assert [reply.json()["text"] for reply in replies] == [" 1 2"] * 2
    assert since(server, before) == {"windows": 1, "joined_requests": 1, "requests": 1}
    repeated = server.transcribe(wav(1, 2))
    assert repeated.text == replies[0].text
    assert repeated.headers["x-request-id"] != replies[0].headers["x-request-id"]
    assert since(server, before) == {"windows": 1, "joined_requests": 1, "requests": 1, "repeated_requests": 1}


def test_the_first_client_may_leave_and_the_last_frees_everything(server: Server) -> None:
    before, process = counts(server), psutil.Process(server.process.pid)
    num_fds = process.num_fds()
    audio = wav(3, 4)
    with server.connect() as second:
        with server.connect() as first:
            first.sendall(upload(audio))
            server.wait_for_metric("asr_busy_slots", 1)
            second.sendall(upload(audio))
            server.wait_for_metric("asr_joined_requests_total", before["joined_requests"] + 1)
        assert b'"text": " 3 4"' in second.makefile("rb").read()
    assert since(server, before) == {"windows": 1, "joined_requests": 1, "requests": 1}
    with server.connect() as first, server.connect() as second:
        first.sendall(upload(wav(5)))
        server.wait_for_metric("asr_busy_slots", 1)
        second.sendall(upload(wav(5)))
        server.wait_for_metric("asr_joined_requests_total", before["joined_requests"] + 2)
    server.wait_for_metric("asr_open_requests", 0, timeout_s=0.4)  # the window alone would take longer
    server.wait_for_metric("asr_busy_slots", 0, timeout_s=0.4)
    assert server.transcribe(wav(5)).json()["text"] == " 5"
    assert since(server, before) == {"windows": 2, "joined_requests": 2, "requests": 3}
    deadline_s = time.monotonic() + 5
    while process.num_fds() > num_fds:  # until the connections are closed
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert "Traceback" not in server.log.read_text()


def test_other_keys_and_parameters_are_other_requests(server: Server) -> None:
    headers = [{}, {"authorization": "Bearer a"}, {"authorization": "Bearer b"}, {"x-api-key": "a"}]
    before = counts(server)
    with server.http() as http:
        for _ in range(2):
            for each in headers:
                assert http.post("/asr", content=wav(6), headers=each).json()["text"] == " 6"
            assert http.post("/asr?task=translate", content=wav(6)).json()["text"] == " 6e"
    assert since(server, before) == {"windows": 5, "requests": 5, "repeated_requests": 5}
    assert "Bearer" not in server.log.read_text()


def test_a_broken_file_gets_its_error_again_and_a_local_path_is_read_again(server: Server, tmp_path: Path) -> None:
    before = counts(server)
    first, second = (server.transcribe(b"\0 no audio at all" * 100).json() for _ in range(2))
    assert (first["error"], first["code"]) == (second["error"], "unsupported_format")
    assert since(server, before) == {"requests": 1, "repeated_requests": 1}
    for number in (7, 8):
        (tmp_path / "a.wav").write_bytes(wav(number))
        reply = server.transcribe(json.dumps({"url": str(tmp_path / "a.wav")}).encode())
        assert reply.json()["text"] == f" {number}"


def test_sharing_can_be_switched_off(tmp_path: Path) -> None:
    with serving(tmp_path, SLOW, RESULT_CACHE_S="0") as server, ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(server.transcribe, [wav(1)] * 2))
        assert [reply.json()["text"] for reply in replies] == [" 1"] * 2
        assert counts(server) == {"windows": 2, "joined_requests": 0, "repeated_requests": 0, "requests": 2}
