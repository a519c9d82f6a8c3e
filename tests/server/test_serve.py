"""The server as a process: its start, requests on the wire, disconnected clients, telemetry, and its end."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
import uvicorn

from asr_api.server.file_descriptors import MAX_DESCRIPTORS
from tests.engines.scripted import Script
from tests.server.in_process import Cli
from tests.server.running import Server, serving, wav
from tests.server.test_prometheus import free_port

SLOW = {"step_s": 0.1, "steps_per_window": 6}  # 0.6 s a window
MIB = 2**20
HEALTH = b"GET /hc HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def collector() -> Iterator[socket.socket]:
    """Where telemetry would be sent; connections wait in its backlog."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, collector: socket.socket) -> Iterator[Server]:
    script = {"n_slots": 2, "step_s": 0.1, "steps_per_window": 5}
    telemetry = {f"OTEL_{kind}_EXPORTER": "otlp" for kind in ("TRACES", "METRICS", "LOGS")}
    telemetry |= {"OTEL_BSP_SCHEDULE_DELAY": "10", "OTEL_METRIC_EXPORT_INTERVAL": "10"}
    telemetry["OTEL_PROPAGATORS"] = "b3"  # not installed
    telemetry["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{collector.getsockname()[1]}"
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, script, wait=True, MAX_UPLOAD_MB="1", MAX_REQUESTS="3", **telemetry) as running:
        yield running


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    return Cli(capfd, monkeypatch, tmp_path)


def upload_head(num_bytes: int) -> bytes:
    return b"POST /asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % num_bytes


def test_audio_becomes_text_and_silence_none(server: Server) -> None:
    reply = server.transcribe(wav(3, 14, 15))
    assert (reply.status_code, reply.json()["text"]) == (200, " 3 14 15")
    assert reply.json()["chunks"][1] == {"timestamp": [1.0, 1.5], "text": " 14"}
    assert reply.headers["x-audio-length"] == "3.000"
    assert "server" not in reply.headers
    assert server.transcribe(wav()).json() == {"text": "", "chunks": []}
    assert server.transcribe(b"no audio at all" * 100).status_code == 415


def test_a_large_body_is_refused_before_it_is_sent(server: Server) -> None:
    started = time.perf_counter()
    with server.connect() as wire:
        wire.sendall(upload_head(10 * 2**30).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        reply = wire.makefile("rb").read()
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body_too_large"' in reply
    assert time.perf_counter() - started < 1


def test_a_client_that_is_still_sending_can_read_the_error(server: Server) -> None:
    for body in (b"x" * 4 * MIB, iter([b"x" * MIB] * 8)):  # with Content-Length, and chunked
        with server.http() as http:
            reply = http.post("/asr", content=body)
        assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")
        assert reply.headers["connection"] == "close"


def test_a_full_server_says_when_to_try_again(server: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(server.transcribe, map(wav, range(1, 9))))
    refused = [reply for reply in replies if reply.status_code == 429]
    assert {reply.status_code for reply in replies} == {200, 429}
    assert all(reply.json()["code"] == "server_overloaded" for reply in refused)
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    assert {server.metric(name) for name in ("asr_open_requests", "asr_queued_windows", "asr_busy_slots")} == {0}


@pytest.mark.parametrize("sent", [0.5, 1.0])
def test_a_client_that_disconnects_frees_everything_at_once(server: Server, sent: float) -> None:
    audio = wav(*range(1, 30))
    with server.connect() as wire:
        wire.sendall(upload_head(len(audio)) + audio[: int(len(audio) * sent)])
        if sent == 1.0:
            server.wait_for_metric("asr_busy_slots", 1)
        else:
            time.sleep(0.1)
    server.wait_for_metric("asr_open_requests", 0, timeout_s=0.4)  # the window alone would take longer
    server.wait_for_metric("asr_busy_slots", 0, timeout_s=0.4)
    *_, last = (line for line in server.log.read_text().splitlines() if " POST " in line)
    assert " 499 " in last


def test_health_answers_while_the_engine_works(server: Server) -> None:
    latencies_ms: list[float] = []
    with ThreadPoolExecutor(3) as pool, server.http() as http:
        replies = [pool.submit(server.transcribe, wav(*range(1, 30))) for _ in range(3)]
        while not all(reply.done() for reply in replies):
            started = time.perf_counter()
            assert http.get("/hc").status_code == 200
            latencies_ms.append((time.perf_counter() - started) * 1000)
            time.sleep(0.005)
    assert {reply.result().status_code for reply in replies} == {200}
    assert len(latencies_ms) > 20
    assert statistics.quantiles(latencies_ms, n=100)[98] < 500  # the strict bound is a soak test, on a quiet machine
    assert statistics.median(latencies_ms) < 20  # without TCP_NODELAY it is 40


@pytest.fixture
def _heeded_hangup() -> Iterator[None]:
    """Also where the suite itself runs under nohup, whose ignored SIGHUP a server would inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_heeded_hangup")
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_running_requests_finish_and_refuses_new_ones(tmp_path: Path, stop: signal.Signals) -> None:
    with serving(tmp_path, SLOW) as server, ThreadPoolExecutor(4) as pool, server.http() as http:
        running = [pool.submit(server.transcribe, wav(number)) for number in range(1, 5)]
        server.wait_for_metric("asr_open_requests", 4)
        server.process.send_signal(stop)
        deadline_s = time.monotonic() + 10
        while (health := http.get("/hc")).status_code == 200 and time.monotonic() < deadline_s:
            time.sleep(0.005)
        assert (health.status_code, health.json()["code"]) == (503, "server_draining")
        refused = http.post("/asr", content=wav(9))
        assert (refused.status_code, refused.json()["code"]) == (503, "server_draining")
        assert "retry-after" in refused.headers
        assert [reply.result().json()["text"] for reply in running] == [" 1", " 2", " 3", " 4"]
        assert server.process.wait(5) == 0


def test_nohup_keeps_the_server_running_after_a_hangup(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited by the server, as under nohup
    try:
        with serving(tmp_path, wait=False) as server:
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
            assert server.process.poll() is None
            assert "stopping" not in server.log.read_text()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_upload_that_has_begun_is_served_after_sigterm(tmp_path: Path) -> None:
    body = wav(7)
    with serving(tmp_path) as server, server.connect() as wire:
        wire.sendall(upload_head(len(body)) + body[:1000])
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        wire.sendall(body[1000:])
        assert b'"text":" 7"' in wire.makefile("rb").read().replace(b'": "', b'":"')
        assert server.process.wait(5) == 0


def test_an_upload_that_is_too_slow_for_the_shutdown_gets_an_error(tmp_path: Path) -> None:
    with serving(tmp_path, SHUTDOWN_TIMEOUT_S="0.2") as server, server.connect() as wire:
        wire.sendall(upload_head(1000) + b"x" * 500)
        time.sleep(0.1)
        assert server.stop() == 0
        reply = wire.recv(65536)
        assert all(part in reply for part in (b" 503 ", b'"code":"server_draining"', b"connection: close"))
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(("num_signals", "timeout_s", "exit_code"), [(1, "0.2", 0), (2, "30", 1)])
def test_a_request_that_cannot_finish_fails(tmp_path: Path, num_signals: int, timeout_s: str, exit_code: int) -> None:
    script = {"step_s": 0.1, "steps_per_window": 600}
    with serving(tmp_path, script, SHUTDOWN_TIMEOUT_S=timeout_s) as server, ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.transcribe, wav(1))
        server.wait_for_metric("asr_busy_slots", 1)
        for _ in range(num_signals):
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert (running.result().status_code, running.result().json()["code"]) == (503, "server_draining")
        assert server.process.wait(8) == exit_code


def test_without_descriptors_connections_wait_and_the_log_stays_short(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.http() as http:
        assert http.get("/hc").status_code == 200  # this connection is kept
        pid = server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        assert before[0] >= min(before[1], MAX_DESCRIPTORS)  # raised to the hard limit
        used = {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}
        first_free = min(set(range(max(used) + 2)) - used)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free, before[1]))
        with server.connect() as late:
            late.sendall(HEALTH)
            refused = http.post("/asr", content=wav(1))
            time.sleep(0.2)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            assert late.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert (refused.status_code, refused.json()["code"]) == (429, "server_overloaded")
    assert server.log.read_text().count("new connections have to wait: Too many open files") == 1
    assert "Traceback" not in server.log.read_text()


def test_the_server_listens_and_can_be_stopped_while_the_model_loads(tmp_path: Path) -> None:
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
        metrics_taken = cli.run("serve", "--port", "0", "--metrics-port", str(server.port))
    for ended, name in ((taken, "PORT"), (metrics_taken, "METRICS_PORT")):
        sentence = f"{name} is {server.port}, and another program is listening there; stop it or set another {name}."
        assert (ended.code, ended.stderr) == (2, f"asr-api: {sentence}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "no.such.host.invalid", "--port", "0"], "HOST is 'no.such.host.invalid'"),
        (["--host", "192.0.2.1", "--port", "0"], "HOST is '192.0.2.1'"),
        (["--batch-size", "0"], "BATCH_SIZE is '0'; it must be a whole number from 1 to 256"),
        (["--port", "9100", "--metrics-port", "9100"], "METRICS_PORT is '9100'; it must be another port than PORT"),
        (["--nonsense", "1"], "unrecognized arguments: --nonsense 1"),
        (["--port", "0"], "The checkpoint is odd; take another."),
    ],
)
def test_a_failed_start_is_one_line(cli: Cli, arguments: list[str], sentence: str) -> None:
    ended = cli.run("serve", *arguments, script=Script(load_error="The checkpoint is odd; take another."))
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"asr-api: {sentence}")
    assert ended.stderr.count("\n") == 1


def test_no_telemetry_is_sent(server: Server, collector: socket.socket) -> None:
    assert server.transcribe(wav(1)).status_code == 200
    with pytest.raises(BlockingIOError):  # nothing has connected since the server started
        collector.accept()


@pytest.mark.parametrize(
    ("load_s", "error"),
    [(0.0, None), (0.0, OSError("The socket is gone.")), (30.0, None)],
    ids=["returns", "raises", "returns while the model loads"],
)
def test_the_command_ends_when_http_ends(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, load_s: float, error: OSError | None
) -> None:
    async def end_early(_server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(20, lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        while not (engines() if load_s else "ready after" in caplog.text):  # noqa: ASYNC110  # of another process
            await asyncio.sleep(0.01)
        sockets[0].close()
        if error is not None:
            raise error

    monkeypatch.setattr(uvicorn.Server, "serve", end_early)
    before = engines()
    with caplog.at_level("INFO"):
        ended = cli.run("serve", "--host", "127.0.0.1", "--port", "0", script=Script(load_s=load_s))
    assert ended.code == 1
    assert ended.stderr.endswith("HTTP server ended unexpectedly; see the log above, and start it again.\n")
    assert engines() == before


def engines() -> list[psutil.Process]:
    """Of this process."""
    return [child for child in psutil.Process().children() if child.name() == "asr-api-engine"]


def test_with_keys_a_request_needs_one_on_the_wire_and_metrics_have_their_port(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, wait=True, API_KEYS="alice:alice-0123456789", METRICS_PORT=str(port)) as server:
        body = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\nExpect: 100-continue\r\n\r\n"
        with server.connect() as refused:
            refused.sendall(body)
            assert refused.recv(100).startswith(b"HTTP/1.1 401 ")
        with server.http() as http:
            assert http.post("/asr", content=wav(7), headers={"x-api-key": "alice-0123456789"}).json()["text"] == " 7"
            assert http.get("/metrics").status_code == 401
            assert http.get("/hc").status_code == 200
            assert "asr_requests_total" in http.get(f"http://127.0.0.1:{port}/metrics").text
        metrics_address = ("127.0.0.1", port)
        with socket.create_connection(metrics_address), socket.create_connection(metrics_address) as unfinished:
            unfinished.sendall(b"GET /metrics HTTP/1.1\r\nHo")
            assert server.stop() == 0  # within 15 s, whatever these connections do
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(metrics_address)
    assert "alice-0123456789" not in server.log.read_text()
