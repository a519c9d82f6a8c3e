"""The files of deploy/proxy: their figures, and what passes through real proxies before a real server."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from asr_api.benchmark.speech import wav_bytes
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.server.http_servers import KEEP_ALIVE_S
from asr_api.settings.settings import Settings
from tests.deploy.proxies import FILES, NAMES, Proxy, new_address, program, proxying
from tests.engines.scripted import number_pcm
from tests.server.running import Server, serving, wav

STEP_S = 0.5  # of the engine, for one window after the other
SCRIPT = {"n_slots": 1, "step_s": STEP_S, "heartbeat_s": 0.2}
LONG_AUDIO_S = 90
LONG = wav(*[1] * LONG_AUDIO_S)  # a few windows
ENDLESS = wav(*[1] * 1200)  # many more windows than a test waits for
MIB = 1024**2
CHUNK_BYTES = 64 * 1024
KEPT_IDLE = {
    "nginx.conf": r"\n    keepalive_timeout (\d+)s;",
    "Caddyfile": r"\n\t\t\tkeepalive (\d+)s",
    "traefik-dynamic.yaml": r"idleConnTimeout: (\d+)s",
}


@pytest.mark.parametrize("file", KEPT_IDLE)
def test_a_proxy_closes_idle_connections_before_the_server_does(file: str) -> None:
    found = re.search(KEPT_IDLE[file], (FILES / file).read_text(encoding="utf-8"))
    assert found
    assert int(found[1]) < KEEP_ALIVE_S


@pytest.mark.parametrize("file", KEPT_IDLE)
def test_the_settings_beside_a_proxy_exist(file: str) -> None:
    (line,) = re.findall(r"^# Settings of asr-api beside it: (.+)$", (FILES / file).read_text("utf-8"), re.MULTILINE)
    names = {pair.partition("=")[0] for pair in line.split()}
    assert {"PROXY_TRUST", "ALLOWED_LOCAL_MEDIA_PATH"} <= names
    assert names <= {name.upper() for name in Settings.model_fields}


@pytest.fixture(scope="module", params=NAMES)
def proxy_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if program(name) is None:
        pytest.skip(f"needs {name}: CONTRIBUTING.md says how to install it")
    return name


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Local paths are not switched off: the proxies must be recognised."""
    with serving(tmp_path_factory.mktemp("server"), SCRIPT, PROXY_TRUST="127.0.0.1") as running:
        yield running


@pytest.fixture(scope="module")
def proxy(proxy_name: str, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxying(proxy_name, tmp_path_factory.mktemp(proxy_name), server.port) as running:
        yield running


@pytest.mark.proxies
def test_a_large_upload_arrives_completely(proxy: Proxy) -> None:
    silence = np.zeros(20 * 60 * SAMPLE_RATE_HZ, np.int16)  # 37 MiB
    audio = wav_bytes(np.concatenate([number_pcm([1]), silence, number_pcm([2])]))
    with proxy.http() as http:
        assert http.post("/asr", content=audio).json()["text"] == " 1 2"


@pytest.mark.proxies
def test_a_slow_upload_is_transcribed_while_it_arrives(proxy: Proxy, server: Server) -> None:
    def trickle() -> Iterator[bytes]:
        for start in range(0, len(LONG), len(LONG) // 8):
            yield LONG[start : start + len(LONG) // 8]
            time.sleep(0.3)

    before = server.metric("asr_early_transcriptions_total")
    with proxy.http() as http:
        assert http.post("/asr", content=trickle()).json()["text"] == " 1" * LONG_AUDIO_S
    assert server.metric("asr_early_transcriptions_total") == before + 1


@pytest.mark.proxies
def test_events_arrive_one_by_one(proxy: Proxy) -> None:
    form = {"model": "whisper-1", "stream": "true"}
    with (
        proxy.http() as http,
        http.stream("POST", "/v1/audio/transcriptions", data=form, files={"file": ("a.wav", LONG)}) as reply,
    ):
        events = (line for line in reply.iter_lines() if "transcript.text.delta" in line)
        arrived_s = [time.perf_counter() for _ in events]
    assert len(arrived_s) >= 3
    assert arrived_s[-1] - arrived_s[0] > STEP_S


@pytest.mark.proxies
def test_the_blanks_before_a_long_reply_arrive_while_it_is_worked_out(proxy: Proxy) -> None:
    with proxy.http() as http, http.stream("POST", "/asr", content=LONG) as reply:
        chunks = [(time.perf_counter(), chunk) for chunk in reply.iter_raw()]
    assert chunks[0][1].strip() == b""
    assert chunks[-1][0] - chunks[0][0] > STEP_S
    assert json.loads(b"".join(chunk for _, chunk in chunks))["text"] == " 1" * LONG_AUDIO_S


@pytest.mark.proxies
@pytest.mark.parametrize(
    ("length", "origin", "status", "code"),
    [(50 * MIB, "https://evil.example.org", 403, "origin_not_allowed"), (600 * MIB, "", 413, "body_too_large")],
)
def test_the_error_of_the_server_comes_after_a_small_part_of_the_body(
    proxy: Proxy, length: int, origin: str, status: int, code: str
) -> None:
    lines = ["POST /asr HTTP/1.1", f"Host: {proxy.host}", f"Content-Length: {length}"]
    lines += [f"Origin: {origin}"] if origin else []
    reply, num_sent = b"", 0
    with proxy.connect() as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while code.encode() not in reply:
            reply += _received(connection)
            if not reply:  # Caddy and Traefik send a reply on when the next bytes of the body arrive
                connection.sendall(bytes(CHUNK_BYTES))
                num_sent += CHUNK_BYTES
    assert num_sent <= 8 * MIB
    assert reply.startswith(f"HTTP/1.1 {status} ".encode())


def _received(connection: ssl.SSLSocket) -> bytes:
    """What has arrived, or arrives in a moment."""
    connection.settimeout(0.01)
    try:
        received = connection.recv(65536)
    except TimeoutError:
        return b""
    finally:
        connection.settimeout(20)
    assert received, "the connection was closed without a reply"
    return received


@pytest.mark.proxies
def test_a_client_that_sends_its_whole_body_gets_the_early_error(proxy: Proxy) -> None:
    headers = {"origin": "https://evil.example.org"}
    with proxy.http() as http:
        reply = http.post("/asr", content=bytes(20 * MIB), headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (403, "origin_not_allowed")


@pytest.mark.proxies
@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "//metrics", "/metrics/", "/./metrics"])
def test_metrics_are_not_published(proxy: Proxy, server: Server, path: str) -> None:
    with server.http() as http:
        assert http.get("/metrics").status_code == 200
    with proxy.http() as http:
        reply = http.get(path)
    assert reply.status_code in {301, 302, 307, 308, 400, 404}
    assert "asr_" not in reply.text


@pytest.mark.proxies
@pytest.mark.parametrize(
    "headers",
    [{}, {"x-forwarded-for": "127.0.0.1"}, {"x-forwarded-for": "", "x-forwarded-host": "localhost", "via": ""}],
)
def test_a_client_of_a_proxy_on_this_machine_may_not_name_local_files(proxy: Proxy, headers: dict[str, str]) -> None:
    with proxy.http("127.0.0.1") as http:
        reply = http.post("/asr", json={"url": "/etc/hostname"}, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (403, "local_path_disabled")


@pytest.mark.proxies
def test_pages_of_the_own_origin_may_use_the_server_and_others_may_not(proxy: Proxy) -> None:
    evil = "https://evil.example.org"
    with proxy.http() as http:
        own = http.post("/asr", content=wav(1), headers={"origin": f"https://{proxy.host}"})
        foreign = http.post("/asr", content=wav(1), headers={"origin": evil})
        forged = {"origin": evil, "x-forwarded-host": evil.removeprefix("https://")}
        forging = http.post("/asr", content=wav(1), headers=forged)
    assert (own.status_code, foreign.status_code, forging.status_code) == (200, 403, 403)


@pytest.mark.proxies
def test_connections_to_the_server_are_used_again(proxy: Proxy, server: Server) -> None:
    def connections() -> set[object]:
        found = psutil.Process(server.process.pid).net_connections()
        return {each.raddr for each in found if each.status == psutil.CONN_ESTABLISHED}

    with proxy.http() as http:
        assert http.get("/hc").status_code == 200
        assert (before := connections())
        assert {http.get("/hc").status_code for _ in range(50)} == {200}
        assert connections() == before


@pytest.mark.proxies
def test_the_server_learns_that_a_client_has_left(proxy: Proxy, server: Server) -> None:
    with proxy.http() as http, http.stream("POST", "/asr", content=ENDLESS) as reply:
        assert reply.status_code == 200
        assert server.metric("asr_open_requests") == 1
    server.wait_for_metric("asr_open_requests", 0)


@pytest.mark.proxies
def test_the_server_learns_it_before_the_reply_has_begun(proxy: Proxy, server: Server) -> None:
    timeout = httpx.Timeout(60, read=1)
    form = {"model": "whisper-1", "response_format": "text"}  # has no blanks before it
    with proxy.http() as http, pytest.raises(httpx.ReadTimeout):
        http.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", ENDLESS)}, timeout=timeout)
    server.wait_for_metric("asr_open_requests", 0)


@pytest.mark.proxies
def test_limits_count_for_the_client_and_not_for_the_proxy_or_a_forged_address(proxy_name: str, tmp_path: Path) -> None:
    with (
        serving(tmp_path, SCRIPT, MAX_REQUESTS="1", PROXY_TRUST="127.0.0.1") as small,
        proxying(proxy_name, tmp_path, small.port) as proxy,
        proxy.http(address := new_address()) as greedy,
        proxy.http(address) as same,
        proxy.http() as other,
        greedy.stream("POST", "/asr", content=wav(*[1] * 240)),
    ):
        refused = same.post("/asr", content=wav(1), headers={"x-forwarded-for": "192.0.2.1"})
        assert (refused.status_code, refused.json()["code"]) == (429, "server_overloaded")
        assert other.post("/asr", content=wav(1)).status_code == 200


@pytest.mark.proxies
def test_one_address_may_not_send_any_number_of_requests(proxy_name: str, proxy: Proxy) -> None:
    if proxy_name == "caddy":
        pytest.skip("Caddy has no such limit without another module")
    with proxy.http() as greedy, proxy.http() as other:
        statuses = [greedy.get("/livez").status_code for _ in range(400)]
        assert other.get("/livez").status_code == 200
    assert set(statuses) == {200, 429}
    assert set(statuses[:100]) == {200}


@pytest.mark.proxies
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_clients_with_http_2_are_served(proxy: Proxy, tmp_path: Path) -> None:
    (audio := tmp_path / "a.wav").write_bytes(wav(1, 2))
    line = ["curl", "-sS", "--http2", "--cacert", str(proxy.certificate), "--resolve", f"{proxy.host}:127.0.0.1"]
    line += ["-H", f"Origin: https://{proxy.host}", "--data-binary", f"@{audio}", "-w", "%{http_version}"]
    ended = subprocess.run([*line, f"https://{proxy.host}/asr"], check=True, capture_output=True, text=True)
    assert ended.stdout.strip().endswith("2")
    assert json.loads(ended.stdout.strip().removesuffix("2"))["text"] == " 1 2"
