"""The access log: the facts of each request, and nothing of what a client wrote in a form that can deceive."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from asr_api.benchmark.speech import wav_bytes
from asr_api.cli.exit_codes import ExitCode
from asr_api.errors import EngineRestarting, ServerOverloaded
from asr_api.server.middleware.access_log import AccessLine, logged_route
from tests.engines.scripted import FAIL, number_pcm
from tests.server.fakes import FakeService, client
from tests.server.running import Server, command, run_command, serving, wav

pytestmark = pytest.mark.anyio

KEY = "7f3a" * 4
SIGNATURE = "sig-5ec2e7"
LINK = f"http://127.0.0.1:9/a.wav?X-Amz-Signature={SIGNATURE}"
MARKS = "\u202e\u2066\u200f\ufeff\u2028\x1b[31m"
HEADER = MARKS.replace("\x1b", "\u0085").encode() + SIGNATURE.encode()
LONG = "x" * 2**20


def facts_of(caplog: pytest.LogCaptureFixture) -> AccessLine:
    lines = [record.msg for record in caplog.records if isinstance(record.msg, AccessLine)]
    assert len(lines) == 1
    return lines[0]


async def test_a_line_has_the_facts_of_its_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with client(FakeService()) as http:
        await http.post("/asr?language=en", content=b"x" * 100, headers={"x-request-id": "r1"})
    facts = facts_of(caplog)
    times = {name: facts.pop(name) for name in ("total_s", "receive_s", "format_s")}
    assert all(isinstance(seconds, float) for seconds in times.values())
    assert facts == {
        "message": "POST /asr 200",
        "request_id": "r1",
        "outcome": "ok",
        "method": "POST",
        "route": "/asr",
        "status": 200,
        "client": "127.0.0.1",
        "account": "127.0.0.1",
        "model": "fake/model",
        "audio_s": 2.5,
        "received_bytes": 100,
    }
    assert str(facts).startswith("r1 POST /asr 200 outcome=ok client=127.0.0.1 ")


@pytest.mark.parametrize(
    ("fake", "path", "expected"),
    [
        (
            FakeService(refusal=ServerOverloaded("Full.", retry_after_s=1)),
            "/asr",
            ("refused", 429, "server_overloaded"),
        ),
        (FakeService(failure=RuntimeError("bug")), "/asr", ("failed", 500, "internal_error")),
        (FakeService(), "/asr?task=sing", ("refused", 400, "invalid_parameter")),
        (FakeService(), "/nothing", ("refused", 404, "not_found")),
    ],
)
async def test_the_outcome_tells_how_a_request_ended(
    caplog: pytest.LogCaptureFixture, fake: FakeService, path: str, expected: tuple[str, int, str]
) -> None:
    caplog.set_level("INFO")
    async with client(fake) as http:
        await http.post(path, content=b"x")
    facts = facts_of(caplog)
    assert (facts["outcome"], facts["status"], facts["error_code"]) == expected


async def test_a_stream_that_breaks_off_is_partial(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with client(FakeService(late_failure=EngineRestarting("It restarts; wait."))) as http:
        form = {"stream": "true", "model": "whisper-1"}
        await http.post("/v1/audio/transcriptions", data=form, files={"file": b"x"})
    facts = facts_of(caplog)
    assert (facts["outcome"], facts["status"], facts["error_code"]) == ("partial", 200, "engine_restarting")


@pytest.mark.parametrize(
    ("raw_path", "shown"),
    [
        (b"/v1/audio/transcription", "/v1/audio/transcription"),
        (b"/asr%3FX-Amz-Signature=5ec2e7", "/asr…"),
        (b"/https://bucket.test/secret", "/https…"),
        (b"/a b\r\n\xe2\x80\xae", "/a…"),
        (b"/" + b"x" * 2**20, "/" + "x" * 99 + "…"),
        (b"", ""),
    ],
)
def test_of_an_unknown_address_only_a_plain_beginning_is_logged(raw_path: bytes, shown: str) -> None:
    assert logged_route({"raw_path": raw_path}) == shown


async def test_probes_are_logged_at_level_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with client(FakeService()) as http:
        await http.get("/hc")
    assert [record.levelno for record in caplog.records if isinstance(record.msg, AccessLine)] == [logging.DEBUG]


# -- what clients control ------------------------------------------------------------------------------------------


def hostile_requests(server: Server) -> None:
    """Writes marks, a signature and long texts into everything that a client controls."""
    mark = quote(MARKS)
    short = {"language": MARKS, f"x{MARKS}": MARKS, "model": MARKS}
    with server.http() as http:
        http.headers["x-api-key"] = KEY
        http.get(f"/nothing/{mark}/{SIGNATURE}?X-Amz-Signature={SIGNATURE}")
        http.get(f"/asr%3FX-Amz-Signature={SIGNATURE}")
        http.post(f"/asr?language={mark}&X-Amz-Signature={SIGNATURE}", content=wav(3))
        http.post(f"/asr?{mark}={LONG[:5000]}", content=wav(3), headers={b"x-request-id": HEADER})
        for url in (LINK, LINK.replace("127.0.0.1", f"a{MARKS}.test"), f"/srv/{MARKS}", LONG, f"file:///{SIGNATURE}"):
            http.post("/asr", json={"url": url})
        for name, form in (("file", short), (f"file{MARKS}", short), ("file", {"prompt": LONG})):
            http.post("/asr", data=form, files={name: (f"{MARKS}{SIGNATURE}.wav", wav(3), f"audio/{SIGNATURE}")})
            http.post("/v1/audio/transcriptions", data=form, files={name: (f"{LONG}.wav", wav(3))})
        names = (b"user-agent", b"x-forwarded-for", b"content-type", b"origin", b"content-encoding", b"traceparent")
        for header in names:
            http.post("/asr", content=MARKS.encode() * 1000, headers={header: HEADER})
        failing = wav_bytes(number_pcm((3,), mark=FAIL))  # twice in a row ends the engine process
        assert http.post("/asr", content=failing).json()["code"] == "request_crashed_worker"
        assert http.post("/asr", content=wav(271, 182)).json()["text"] == " 271 182"
    for request in (b"GET /\x1b[31m HTTP/1.1\r\n\r\n", b"\x1b[31m\n" * 100, b"GET / HTTP/1.1\r\nHost: \x1b\r\n\r\n"):
        with server.connect() as wire:
            wire.sendall(request)
            wire.recv(1000)


def check_objects(lines: list[dict[str, object]]) -> None:
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    values = [value for line in lines for value in line.values() if isinstance(value, str)]
    assert all(part.isprintable() for value in values for part in value.split("\n"))
    tracebacks = [(line.get("process"), line["level"]) for line in lines if "traceback" in line]
    assert {("engine", "ERROR"), ("engine", "CRITICAL")} <= set(tracebacks)
    (transcribed,) = [line for line in lines if line.get("status") == 200]
    assert {"receive_s", "decode_s", "queue_s", "engine_s", "format_s", "total_s"} <= transcribed.keys()
    names = ("route", "outcome", "account", "audio_s")
    assert [transcribed[name] for name in names] == ["/asr", "ok", "key:alice", 2.0]


@pytest.fixture(scope="module", params=["text", "json"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    settings = {"LOG_FORMAT": request.param, "ALLOWED_MEDIA_DOMAINS": "good.test", "API_KEYS": f"alice:{KEY}"}
    with serving(folder, None, wait=True, **settings) as running:
        hostile_requests(running)
        assert running.stop() == 0
        yield running


def test_no_line_holds_what_a_client_wrote_in_a_form_that_can_deceive(server: Server) -> None:
    log = server.log.read_bytes().decode()
    lines = log.removesuffix("\n").split("\n")
    assert len(lines) > 15
    for line in lines:
        assert line.isprintable(), line
        assert re.match(r'\d{4}-\d\d-\d\d \d|    |{"time": "', line), line
        assert len(line) < 5000
    if log.startswith("{"):
        check_objects([json.loads(line) for line in lines])
    for secret in (KEY, SIGNATURE, "271 182", LONG[:200]):
        assert secret not in log


def test_a_server_that_cannot_start_says_so_in_the_format_of_its_log(tmp_path: Path) -> None:
    ended = run_command(tmp_path, *command({}, "serve", "--port", "0"), LOG_FORMAT="json", HOST="host.invalid")
    assert ended.returncode == ExitCode.NOT_STARTED
    (line,) = ended.stderr.decode().splitlines()
    assert json.loads(line)["level"] == "CRITICAL"
