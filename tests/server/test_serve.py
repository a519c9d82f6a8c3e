"""The server as a process: how it starts, what it refuses on the wire, how it loses a client, and how it stops."""

from __future__ import annotations

import signal
import socket
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.engines.scripted import Script
from tests.server.in_process import Cli
from tests.server.running import Server, serving, wav

SLOW = {"step_s": 0.1, "steps_per_window": 6}  # 0.6 s a window
MIB = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving(
        folder, {"n_slots": 2, "step_s": 0.1, "steps_per_window": 5}, MAX_UPLOAD_MB="1", MAX_REQUESTS="3"
    ) as it:
        yield it


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    return Cli(capfd, monkeypatch, tmp_path)


def say_raw(server: Server, request: bytes, *, then_wait_s: float = 5) -> bytes:
    """What the server sends until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=then_wait_s) as wire:
        wire.sendall(request)
        received = b""
        while piece := wire.recv(65536):
            received += piece
        return received


def transcribe(server: Server, audio: bytes) -> httpx.Response:
    with server.http() as http:
        return http.post("/asr", content=audio)


def is_baseline(server: Server) -> bool:
    names = ("asr_open_requests", "asr_queued_windows", "asr_busy_slots")
    return all(server.metric(name) == 0 for name in names)


def test_it_transcribes_and_answers_silence_with_silence(server: Server) -> None:
    reply = transcribe(server, wav(3, 14, 15))
    assert (reply.status_code, reply.json()["text"]) == (200, " 3 14 15")
    assert reply.json()["chunks"][1] == {"timestamp": [1.0, 1.5], "text": " 14"}
    assert reply.headers["x-audio-length"] == "3.000"
    assert "server" not in reply.headers
    assert transcribe(server, wav()).json() == {"text": "", "chunks": []}
    assert transcribe(server, b"no audio at all" * 100).status_code == 415


def test_curl_s_own_content_type_and_a_local_path_work(server: Server, tmp_path: Path) -> None:
    (tmp_path / "seven.wav").write_bytes(wav(7))
    with server.http() as http:
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert http.post("/asr", content=wav(7), headers=form).json()["text"] == " 7"
        assert http.post("/asr", json={"url": str(tmp_path / "seven.wav")}).json()["text"] == " 7"


def test_a_large_body_is_refused_before_it_is_sent(server: Server) -> None:
    head = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10737418240\r\nExpect: 100-continue\r\n\r\n"
    started = time.perf_counter()
    reply = say_raw(server, head)
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body_too_large"' in reply
    assert time.perf_counter() - started < 1


def test_a_client_that_sends_on_still_gets_to_read_its_refusal(server: Server) -> None:
    for body in (b"x" * 4 * MIB, iter([b"x" * MIB] * 8)):  # with Content-Length, and chunked
        with server.http() as http:
            reply = http.post("/asr", content=body)
        assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")
        assert reply.headers["connection"] == "close"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /asr HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /asr HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /asr HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /hc HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"\x16\x03\x01 this is TLS\r\n\r\n",
    ],
)
def test_a_malformed_request_is_a_400_in_our_shape_and_closes(server: Server, request_bytes: bytes) -> None:
    reply = say_raw(server, request_bytes)
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_request"' in reply
    assert b"\r\nx-request-id: " in reply


def test_one_request_too_many_is_told_when_to_come_back(server: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda number: transcribe(server, wav(number)), range(1, 9)))
    refused = [reply for reply in replies if reply.status_code == 429]
    assert {reply.status_code for reply in replies} == {200, 429}
    assert all(reply.json()["code"] == "server_overloaded" for reply in refused)
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    assert is_baseline(server)


@pytest.mark.parametrize("sent", [0.5, 1.0])
def test_a_client_that_leaves_frees_everything_at_once(server: Server, sent: float) -> None:
    audio = wav(*range(1, 30))
    with socket.create_connection(("127.0.0.1", server.port)) as wire:
        head = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(audio)
        wire.sendall(head + audio[: int(len(audio) * sent)])
        if sent == 1.0:
            server.wait_for_metric("asr_busy_slots", 1)
        else:
            time.sleep(0.1)
    server.wait_for_metric("asr_open_requests", 0, timeout_s=0.4)  # the window alone would take longer
    server.wait_for_metric("asr_busy_slots", 0, timeout_s=0.4)
    *_, last = (line for line in server.log.read_text().splitlines() if " POST " in line)
    assert " 499 " in last


def test_health_answers_while_it_works(server: Server) -> None:
    latencies_ms: list[float] = []
    with ThreadPoolExecutor(3) as pool, server.http() as http:
        replies = [pool.submit(transcribe, server, wav(*range(1, 30))) for _ in range(3)]
        while not all(reply.done() for reply in replies):
            started = time.perf_counter()
            assert http.get("/hc").status_code == 200
            latencies_ms.append((time.perf_counter() - started) * 1000)
            time.sleep(0.005)
    assert {reply.result().status_code for reply in replies} == {200}
    assert len(latencies_ms) > 20
    assert statistics.median(latencies_ms) < 20  # without TCP_NODELAY it is 40


def test_sigterm_lets_running_requests_finish_and_refuses_new_ones(tmp_path: Path) -> None:
    with serving(tmp_path, SLOW) as server, ThreadPoolExecutor(4) as pool, server.http() as http:
        running = [pool.submit(transcribe, server, wav(number)) for number in range(1, 5)]
        server.wait_for_metric("asr_open_requests", 4)
        server.process.send_signal(signal.SIGTERM)
        while (health := http.get("/hc")).status_code == 200:
            time.sleep(0.005)
        assert (health.status_code, health.json()["code"]) == (503, "server_draining")
        refused = http.post("/asr", content=wav(9))
        assert (refused.status_code, refused.json()["code"]) == (503, "server_draining")
        assert "retry-after" in refused.headers
        assert [reply.result().json()["text"] for reply in running] == [" 1", " 2", " 3", " 4"]
        assert server.process.wait(5) == 0


def test_an_upload_that_was_let_in_is_served_to_its_end(tmp_path: Path) -> None:
    body = wav(7)
    head = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), timeout=5) as wire:
        wire.sendall(head + body[:1000])
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        wire.sendall(body[1000:])
        assert b'"text":" 7"' in wire.makefile("rb").read().replace(b'": "', b'":"')
        assert server.process.wait(5) == 0


def test_an_upload_that_would_come_too_late_is_told_so(tmp_path: Path) -> None:
    with (
        serving(tmp_path, SHUTDOWN_TIMEOUT_S="0.2") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as wire,
    ):
        wire.sendall(b"POST /asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)
        time.sleep(0.1)
        assert server.stop() == 0
        reply = wire.recv(65536)
        assert b" 503 " in reply
        assert b'"code":"server_draining"' in reply
        assert b"connection: close" in reply
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(("num_signals", "timeout_s", "exit_code"), [(1, "0.2", 0), (2, "30", 1)])
def test_what_cannot_finish_gets_an_explicit_error(
    tmp_path: Path, num_signals: int, timeout_s: str, exit_code: int
) -> None:
    script = {"step_s": 0.1, "steps_per_window": 600}
    with serving(tmp_path, script, SHUTDOWN_TIMEOUT_S=timeout_s) as server, ThreadPoolExecutor(1) as pool:
        running = pool.submit(transcribe, server, wav(1))
        server.wait_for_metric("asr_busy_slots", 1)
        for _ in range(num_signals):
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert (running.result().status_code, running.result().json()["code"]) == (503, "server_draining")
        assert server.process.wait(8) == exit_code


def test_it_listens_while_the_model_loads_and_can_be_stopped_then(tmp_path: Path) -> None:
    with serving(tmp_path, {"load_s": 30}, wait=False) as server:
        with server.http() as http:
            for reply in (http.get("/hc"), http.post("/asr", content=wav(1))):
                assert (reply.status_code, reply.json()["code"]) == (503, "model_loading")
                assert "retry-after" in reply.headers
        started = time.perf_counter()
        assert server.stop() == 0
        assert time.perf_counter() - started < 8


def test_every_interface_is_ipv4_and_ipv6(tmp_path: Path, cli: Cli) -> None:
    with serving(tmp_path, HOST="*") as server:
        assert httpx.get(f"http://127.0.0.1:{server.port}/hc").status_code == 200
        if socket.has_ipv6 and Path("/proc/net/if_inet6").read_text():
            assert httpx.get(f"http://[::1]:{server.port}/hc").status_code == 200
        taken = cli.run("serve", "--port", str(server.port))
    assert taken.code == 2
    assert taken.stderr == (
        f"asr-api: PORT is {server.port}, and another program is listening there; stop it or set another PORT.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "no.such.host.invalid", "--port", "0"], "HOST is 'no.such.host.invalid'"),
        (["--host", "192.0.2.1", "--port", "0"], "HOST is '192.0.2.1'"),
        (["--batch-size", "0"], "BATCH_SIZE is '0'; it must be a whole number from 1 to 256"),
        (["--nonsense", "1"], "unrecognized arguments: --nonsense 1"),
        (["--port", "0"], "The checkpoint is odd; take another."),
    ],
)
def test_a_start_that_cannot_be_is_one_line(cli: Cli, arguments: list[str], sentence: str) -> None:
    ended = cli.run("serve", *arguments, script=Script(load_error="The checkpoint is odd; take another."))
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"asr-api: {sentence}")
    assert ended.stderr.count("\n") == 1
