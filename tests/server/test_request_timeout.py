"""Deadlines: how a client names one, what is refused because of it, and what is answered and freed when it passes."""

from __future__ import annotations

import asyncio
import json
import math
import re
from pathlib import Path

import pytest

from asr_api.audio.decoding.decoder import DecodedFile
from asr_api.request import RequestScope
from asr_api.server import upload
from asr_api.server.heartbeat_replies import JSON_HEARTBEAT
from asr_api.server.middleware import early_reply
from tests.scheduler.test_scheduler import silence
from tests.server.fakes import FakeService, client
from tests.server.forms import CONTENT_TYPE, form, part
from tests.server.running import ROOT, serving, wav
from tests.server.test_early_transcription import AUDIO, FILE, FORM, Running, SlowBody, running

pytestmark = pytest.mark.anyio

OPENAI, HEADER = "/v1/audio/transcriptions", "X-Request-Timeout"
CLIP = wav(1)
CLIP_FORM = form(part(CLIP, more='; filename="a.wav"'))
TIMEOUT_FORM = form(part(b"7", "timeout"), part(CLIP, more='; filename="a.wav"'))
WEBSERVICE_FORM = form(part(CLIP, "audio_file", more='; filename="a.wav"'))
NEAR_S = 2.0  # enough for the first window on a busy machine


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads begin early, and nobody waits for the rest of a body."""
    monkeypatch.setattr(upload, "MIN_UPLOAD_S", 0.0)
    monkeypatch.setattr(early_reply, "LINGER_S", 0.01)


@pytest.mark.parametrize(
    ("path", "content", "headers"),
    [
        ("/asr", CLIP, {HEADER: "7"}),
        ("/asr?timeout=7", CLIP, {}),
        ("/asr?timeout=9.5", CLIP, {HEADER: "7"}),
        ("/asr?timeout=7", WEBSERVICE_FORM, FORM),
        (OPENAI, TIMEOUT_FORM, FORM),
        (f"{OPENAI}?timeout=7", CLIP_FORM, FORM),
        ("/v1/listen?timeout=7", CLIP, {}),
        ("/inference", TIMEOUT_FORM, FORM),
        ("/inference?timeout=7", CLIP_FORM, FORM),
        ("/detect-language?timeout=7", WEBSERVICE_FORM, FORM),
    ],
)
async def test_a_timeout_may_be_named_on_every_route(path: str, content: bytes, headers: dict[str, str]) -> None:
    async with client(service := FakeService()) as http:
        assert (await http.post(path, content=content, headers=headers)).status_code == 200
    assert timeout_of(service.requests[0]) == 7


async def test_a_timeout_may_stand_beside_a_url(tmp_path: Path) -> None:
    (audio := tmp_path / "a.wav").write_bytes(CLIP)
    async with client(service := FakeService(), allowed_local_media_path=str(tmp_path)) as http:
        reply = await http.post("/asr", content=json.dumps({"url": str(audio), "timeout": 7}))
        assert reply.status_code == 200
    assert timeout_of(service.requests[0]) == 7


@pytest.mark.parametrize(("given", "expected_s"), [({}, 5), ({HEADER: "900"}, 5), ({HEADER: "3"}, 3)])
async def test_the_server_has_a_longest_timeout(given: dict[str, str], expected_s: float) -> None:
    async with client(service := FakeService(), request_timeout_s="5") as http:
        await http.post("/asr", content=CLIP, headers=given)
    assert timeout_of(service.requests[0]) == expected_s


async def test_without_any_there_is_no_deadline() -> None:
    async with client(service := FakeService()) as http:
        await http.post("/asr", content=CLIP, headers={HEADER: ""})
    assert math.isinf(service.requests[0].deadline_s)


def timeout_of(request: RequestScope) -> float:
    return round(request.deadline_s - request.arrived_s, 3)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon", "1e999"])
@pytest.mark.parametrize(
    ("path", "where", "body"),
    [
        ("/asr", HEADER, CLIP),
        ("/asr", "timeout", CLIP),
        (OPENAI, "timeout", CLIP_FORM),
        ("/v1/listen", "timeout", CLIP),
        ("/inference", "field", CLIP_FORM),
        (OPENAI, "field", CLIP_FORM),
    ],
)
async def test_a_wrong_timeout_is_an_error_that_names_it(path: str, where: str, body: bytes, value: str) -> None:
    headers = {"content-type": CONTENT_TYPE} if body is CLIP_FORM else {}
    if where == HEADER:
        headers[HEADER] = value
    elif where == "timeout":
        path += f"?timeout={value}"
    else:
        body = form(part(value.encode(), "timeout"), part(CLIP, more='; filename="a.wav"'))
    async with client(FakeService()) as http:
        reply = await http.post(path, content=body, headers=headers)
    name = "timeout" if where == "field" else where
    assert reply.status_code == 400
    assert f"{name} is '{value}'; it must be a number of seconds above 0." in reply.text


# -- when it passes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "content", "headers"),
    [("/asr", AUDIO, {}), (OPENAI, form(FILE), FORM), ("/v1/listen", AUDIO, {}), ("/inference", form(FILE), FORM)],
)
@pytest.mark.parametrize("keep_s", [0, 600])
async def test_what_was_done_so_far_is_in_the_error_and_everything_is_freed(
    path: str, content: bytes, headers: dict[str, str], keep_s: float
) -> None:
    async with running(keep_s=keep_s) as app:
        request = app.post(path, content, {**headers, HEADER: str(NEAR_S)})
        await app.window()
        reply = await asyncio.wait_for(request, 10)
        assert not app.harness.in_process.inside  # so the engine makes no step for it any more
        assert app.is_idle()
        assert (reply.status_code, reply.headers["x-should-retry"]) == (504, "false")
        body = reply.json()
        partial = (body["error"] if path == OPENAI else body)["partial"]
        assert partial["text"].startswith(" 1 2 3 ")
        assert partial["text"] == "".join(chunk["text"] for chunk in partial["chunks"])
        assert partial["chunks"][0]["timestamp"] == [0.0, 0.5]
        assert app.num_windows() == 1
        assert app.harness.outcomes() == {"expired": 1}
        assert "deadline_exceeded" in reply.text or path == "/v1/listen"


async def test_a_stream_ends_with_the_error_behind_what_it_has_sent() -> None:
    async with running() as app:
        request = app.post("/asr", AUDIO, {HEADER: str(NEAR_S), "accept": "text/event-stream"})
        await app.window()
        reply = await asyncio.wait_for(request, 10)
        *chunks, error = reply.text.strip().split("\n\n")
        assert chunks[0].startswith('event: chunk\ndata: {"timestamp": [0.0, 0.5], "text": " 1"}')
        assert error.startswith("event: error\n")
        assert '"code": "deadline_exceeded"' in error
        assert '"chunks": []' not in chunks[0]
        assert app.is_idle()


@pytest.mark.usefixtures("_at_once")
async def test_the_upload_counts_and_is_given_up_with_its_early_transcription() -> None:
    async with running() as app:
        request = app.post("/asr", SlowBody(AUDIO), {HEADER: str(NEAR_S)})
        await app.until(lambda: bool(app.harness.in_process.inside))
        reply = await asyncio.wait_for(request, 10)
        assert (reply.status_code, reply.json()["code"]) == (504, "deadline_exceeded")
        assert (app.num_early(), app.harness.outcomes()) == (1, {"expired": 1})
        assert app.is_idle()


@pytest.mark.usefixtures("_at_once")
async def test_a_transcription_that_began_early_expires_as_others_do() -> None:
    async with running() as app:
        request = app.post("/asr", body := SlowBody(AUDIO), {HEADER: str(NEAR_S)})
        await app.window()
        body.may_end.set()
        assert (await asyncio.wait_for(request, 10)).json()["partial"]["text"].startswith(" 1 2 3 ")
        assert (app.num_early(), app.harness.outcomes()) == (1, {"expired": 1})


async def test_a_deadline_that_passes_in_the_upload_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_reply, "LINGER_S", 0.01)
    async with running() as app:
        reply = await asyncio.wait_for(app.post("/asr?timeout=0.2", SlowBody(AUDIO)), 10)
        assert (reply.status_code, app.num_early(), app.harness.outcomes()) == (504, 0, {"expired": 1})


async def test_other_listeners_of_the_same_transcription_go_on() -> None:
    async with running() as app:
        hurried = app.post("/asr", AUDIO, {HEADER: str(NEAR_S)})
        patient = app.post("/asr", AUDIO)
        await app.until(lambda: app.harness.count("asr_joined_requests_total") == 1)
        await app.window()
        assert (await asyncio.wait_for(hurried, 10)).status_code == 504
        reply = await app.reply(patient)
        assert reply.json()["text"].endswith(" 57 58")
        assert app.harness.outcomes() == {"completed": 1, "expired": 1}


def test_a_window_in_the_engine_is_dropped_within_a_step(tmp_path: Path) -> None:
    with serving(tmp_path, {"n_slots": 1, "step_s": 0.1, "steps_per_window": 10_000}) as server:
        with server.http() as http:
            reply = http.post("/asr?timeout=1", content=CLIP)
        assert (reply.status_code, reply.json()["code"]) == (504, "deadline_exceeded")
        server.wait_for_metric("asr_busy_slots", 0, timeout_s=1)
        assert server.metric("asr_open_requests") == 0


async def test_a_near_deadline_is_waited_for_without_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr_api.server.asr_replies.JSON_HEARTBEAT", type(JSON_HEARTBEAT)(0.01, 0.01, b" "))
    async with client(FakeService(release=asyncio.Event())) as http:
        reply = await http.post("/asr?timeout=0.2", content=CLIP)
    assert (reply.status_code, reply.json()["partial"]) == (504, {"text": "", "chunks": []})


def test_the_timeouts_for_benchmarks_keep_the_headers_of_a_long_reply(tmp_path: Path) -> None:
    page = (ROOT / "docs/coming-from/asr-api.md").read_text(encoding="utf-8")
    (setting,) = re.findall(r"`REQUEST_TIMEOUT_S=(\d+)`", page)
    (header,) = re.findall(rf"`{HEADER}: (\d+)`", page)
    script = {"heartbeat_s": 0.05, "step_s": 0.5}
    with serving(tmp_path, script) as server, server.http() as http:
        assert "x-processing-time" not in http.post("/asr", content=CLIP).headers
        assert float(http.post("/asr", content=CLIP, headers={HEADER: header}).headers["x-processing-time"]) > 0.4
    with serving(tmp_path, script, REQUEST_TIMEOUT_S=setting) as server:
        assert float(server.transcribe(CLIP).headers["x-processing-time"]) > 0.4


# -- what cannot be done in time -------------------------------------------------------------------------------------


def measure(app: Running, *, s_per_window: float = 2.5) -> None:
    with app.harness.scheduler.open_queue(RequestScope()) as queue:
        app.harness.submit(queue, silence(30), num_windows=40)
        app.harness.step(4 * s_per_window, times=10)


async def test_audio_that_takes_too_long_is_refused_when_its_length_is_known() -> None:
    async with running() as app:
        measure(app)
        reply = await asyncio.wait_for(app.post("/asr?timeout=2", AUDIO), 1.5)
        assert (reply.status_code, reply.json()["code"]) == (503, "deadline_unreachable")
        assert int(reply.headers["retry-after"]) >= 1
        assert app.harness.outcomes() == {"refused": 1}
        assert app.is_idle()
        assert app.num_windows() == 40


@pytest.mark.usefixtures("_at_once")
async def test_a_busy_server_refuses_before_the_body_is_read() -> None:
    async with running() as app:
        measure(app)
        for number in range(10):
            app.harness.submit(app.harness.queue(account=str(number)), silence(30), num_windows=4)
        assert app.harness.in_process.inside
        reply = await asyncio.wait_for(app.post("/asr?timeout=2", SlowBody(AUDIO)), 1.5)
        assert (reply.status_code, reply.json()["code"]) == (503, "deadline_unreachable")
        app.harness.open.close()


async def test_one_long_file_does_not_shut_out_a_clip_because_shares_are_equal() -> None:
    async with running() as app:
        measure(app)
        app.harness.submit(app.harness.queue(account="other"), silence(30), num_windows=400)
        request = app.post("/asr?timeout=20", CLIP)
        assert (await app.reply(request)).status_code == 200
        app.harness.open.close()


async def test_a_server_that_has_measured_nothing_refuses_nothing() -> None:
    async with running() as app:
        app.harness.submit(app.harness.queue(account="other"), silence(30), num_windows=400)
        request = app.post("/asr?timeout=20", AUDIO)
        assert (await app.reply(request)).status_code == 200
        app.harness.open.close()


async def test_a_refused_listener_leaves_others_their_transcription(monkeypatch: pytest.MonkeyPatch) -> None:
    """The length of the audio is known when both listen."""
    async with running() as app:
        measure(app)
        open_file, may_open = DecodedFile.__aenter__, asyncio.Event()

        async def open_later(file: DecodedFile) -> DecodedFile:
            await may_open.wait()
            return await open_file(file)

        monkeypatch.setattr(DecodedFile, "__aenter__", open_later)
        hurried = app.post("/asr?timeout=2", AUDIO)
        await app.until(lambda: app.harness.count("asr_open_requests") == 1)
        patient = app.post("/asr", AUDIO)
        await app.until(lambda: app.harness.count("asr_joined_requests_total") == 1)
        may_open.set()
        assert (await app.reply(patient)).json()["text"].endswith(" 57 58")
        assert (await hurried).json()["code"] == "deadline_unreachable"
        assert app.harness.outcomes() == {"completed": 1, "refused": 1}
