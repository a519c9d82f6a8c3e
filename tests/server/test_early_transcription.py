"""Uploads that take long are transcribed while they arrive, with the same reply, and cost nothing when they fail."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.sources.growing_spool import GrowingSpool
from asr_api.audio.sources.spool import open_unnamed_file
from asr_api.compose import Service
from asr_api.early_transcriptions import EarlyTranscriptions
from asr_api.events import fold
from asr_api.options import TranscribeOptions
from asr_api.request import AccountLimits, RequestScope
from asr_api.server import upload
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware import early_reply
from asr_api.shared_transcriptions import SharedTranscriptions
from tests.server.fakes import client
from tests.server.forms import CONTENT_TYPE, form, part
from tests.server.running import Server, serving, wav
from tests.service import ServiceHarness

pytestmark = pytest.mark.anyio
NUMBERS = range(1, 59)
AUDIO = wav(*NUMBERS)  # 58 s, 1.86 MB; the first window is known after some 45 s
NUM_WINDOWS = 3
TEXT = "".join(f" {number}" for number in NUMBERS)
FORM = {"content-type": CONTENT_TYPE}
FILE = part(AUDIO, more='; filename="a.wav"')
LATE_BYTES = 64 * 1024


@dataclass
class SlowBody:
    """All but its end comes at once, the end when the test says so."""

    content: bytes
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        early = self.content[:-LATE_BYTES]
        for start in range(0, len(early), 2**16):
            yield early[start : start + 2**16]
        await self.may_end.wait()
        yield self.content[-LATE_BYTES:]


@dataclass
class Running:
    """The app with real parts, but for the engine, which makes a step when the test says so."""

    harness: ServiceHarness
    service: Service
    http: httpx.AsyncClient

    def post(
        self, path: str, body: SlowBody | bytes, headers: dict[str, str] | None = None
    ) -> asyncio.Task[httpx.Response]:
        return asyncio.create_task(self.http.post(path, content=body, headers=headers))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def window(self) -> None:
        """The next window is in the engine, and is transcribed."""
        await self.until(lambda: bool(self.harness.in_process.inside))
        self.harness.in_process.step()

    async def reply(self, request: asyncio.Task[httpx.Response]) -> httpx.Response:
        async with asyncio.timeout(10):
            while not request.done():
                self.harness.in_process.step()
                await asyncio.sleep(0.001)
        return request.result()

    def num_early(self) -> float:
        return self.harness.count("asr_early_transcriptions_total")

    def num_windows(self) -> float:
        return self.harness.count("asr_windows_total")

    def is_idle(self) -> bool:
        names = ("asr_open_requests", "asr_busy_slots", "asr_queued_windows")
        return not any(self.harness.count(name) for name in names)


@asynccontextmanager
async def running(*, max_requests: int = 64, keep_s: float = 600, **flags: str) -> AsyncIterator[Running]:
    harness, decoder = ServiceHarness(max_requests=max_requests), Decoder()
    shared = SharedTranscriptions(harness.metrics, keep_s, 64) if keep_s else None
    service = Service(harness.pool, decoder, harness.transcriber, shared, EarlyTranscriptions(max_requests))
    await decoder.start()
    try:
        async with client(ServiceHandle(service), **{"max_upload_mb": "4", "model_id": "scripted", **flags}) as http:
            yield Running(harness, service, http)
    finally:
        await decoder.aclose()


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "MIN_UPLOAD_S", 0.0)
    monkeypatch.setattr(early_reply, "LINGER_S", 0.01)


MODEL, LANGUAGE = part(b"whisper-1", "model"), part(b"de", "language")
WORDS, VERBOSE = part(b"word", "timestamp_granularities[]"), part(b"verbose_json", "response_format")
WEBSERVICE_FILE = part(AUDIO, "audio_file", more='; filename="a.wav"')
ROUTES = {
    "raw": ("/asr?language=de", AUDIO, {}),
    "openai": ("/v1/audio/transcriptions", form(MODEL, LANGUAGE, FILE), FORM),
    "openai, model behind": ("/v1/audio/transcriptions", form(LANGUAGE, FILE, MODEL), FORM),
    "webservice": ("/asr?output=json&language=de", form(WEBSERVICE_FILE), FORM),
    "webservice, raw": ("/asr?output=json&language=de&encode=0", form(WEBSERVICE_FILE), FORM),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("keep_s", [0, 600])
@pytest.mark.usefixtures("_at_once")
async def test_a_slow_upload_is_transcribed_while_it_arrives_and_once(route: str, keep_s: float) -> None:
    path, content, headers = ROUTES[route]
    async with running(keep_s=keep_s) as app:
        request = app.post(path, body := SlowBody(content), headers)
        await app.window()
        await app.until(lambda: app.num_windows() == 1)
        assert not request.done()
        body.may_end.set()
        reply = await app.reply(request)
        assert reply.json()["text"].strip() == TEXT.strip()
        assert (app.num_early(), app.num_windows()) == (1, NUM_WINDOWS)
        assert app.harness.outcomes() == {"completed": 1}
        assert app.is_idle()


@pytest.mark.usefixtures("_at_once")
async def test_a_field_behind_the_file_starts_it_again() -> None:
    async with running() as app:
        request = app.post("/v1/audio/transcriptions", body := SlowBody(form(FILE, LANGUAGE)), FORM)
        await app.window()
        body.may_end.set()
        assert (await app.reply(request)).json()["text"] == TEXT.strip()
        assert app.harness.outcomes() == {"completed": 1}
        assert [job.options.language for job in app.harness.in_process.jobs[-2:]] == ["de", "de"]
        assert app.is_idle()


@pytest.mark.usefixtures("_at_once")
async def test_fields_that_only_those_behind_the_file_explain_are_no_error() -> None:
    async with running() as app:
        request = app.post("/v1/audio/transcriptions", body := SlowBody(form(WORDS, FILE, VERBOSE)), FORM)
        body.may_end.set()
        reply = await app.reply(request)
        assert len(reply.json()["words"]) == len(NUMBERS)
        assert app.num_early() == 0


WRONG = [
    (part(b"hot", "temperature"), "/v1/audio/transcriptions", 400, "temperature is 'hot'"),
    (part(b"x/y", "model"), "/v1/audio/transcriptions", 404, "There is no model 'x/y'"),
    (part(b"de", "language"), "/asr", 400, "language is in the form"),
]


@pytest.mark.parametrize(("field", "path", "status", "sentence"), WRONG)
@pytest.mark.usefixtures("_at_once")
async def test_a_wrong_field_before_the_file_costs_no_upload(
    field: bytes, path: str, status: int, sentence: str
) -> None:
    async with running() as app:
        reply = await app.reply(app.post(path, SlowBody(form(field, FILE, form(FILE))), FORM))
    assert reply.status_code == status
    assert sentence in reply.text


@pytest.mark.usefixtures("_at_once")
async def test_an_upload_that_fails_frees_everything_at_once() -> None:
    async with running() as app:
        request = app.post("/asr", SlowBody(AUDIO))
        await app.window()
        request.cancel()
        await asyncio.wait([request])
        assert app.is_idle()
        assert app.harness.outcomes() == {"cancelled": 1}
    async with running(max_upload_mb="1") as app:
        reply = await app.reply(app.post("/asr", SlowBody(AUDIO)))
        assert reply.status_code == 413
        assert app.num_early() == 1
        assert app.is_idle()


@pytest.mark.usefixtures("_at_once")
async def test_a_kept_result_and_a_transcription_that_runs_are_used_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as app:
        slow = app.post("/asr", body := SlowBody(AUDIO))
        await app.until(lambda: bool(app.harness.in_process.inside))
        monkeypatch.setattr(upload, "MIN_UPLOAD_S", 60.0)
        fast = app.post("/asr", AUDIO)
        await app.until(lambda: app.harness.count("asr_open_requests") == 2)
        body.may_end.set()
        await app.until(lambda: app.harness.count("asr_joined_requests_total") == 1)
        assert (await app.reply(fast)).text == (await app.reply(slow)).text
        monkeypatch.setattr(upload, "MIN_UPLOAD_S", 0.0)
        slow = app.post("/asr", body := SlowBody(AUDIO))
        await app.until(lambda: app.num_early() == 2)
        body.may_end.set()
        assert (await app.reply(slow)).json()["text"] == TEXT
        assert app.harness.outcomes() == {"completed": 1}
        counts = [app.harness.count(f"asr_{name}_requests_total") for name in ("joined", "repeated")]
        assert counts == [1, 1]
        assert app.is_idle()


@pytest.mark.usefixtures("_at_once")
async def test_repeats_join_it_and_whose_upload_it_was_may_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as app:
        first = app.post("/asr", body := SlowBody(AUDIO))
        await app.window()
        monkeypatch.setattr(upload, "MIN_UPLOAD_S", 60.0)
        body.may_end.set()
        await app.until(lambda: bool(app.harness.in_process.inside))
        second = app.post("/asr", AUDIO)
        await app.until(lambda: app.harness.count("asr_joined_requests_total") == 1)
        first.cancel()
        await asyncio.wait([first])
        assert (await app.reply(second)).json()["text"] == TEXT
        assert (await app.reply(app.post("/asr", AUDIO))).json()["text"] == TEXT
        assert (app.num_windows(), app.harness.outcomes()) == (NUM_WINDOWS, {"completed": 1})
        assert app.is_idle()


async def test_a_file_whose_beginning_was_decoded_otherwise_is_transcribed_anew() -> None:
    """Whatever changed it: here the file is written to."""
    may_end = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield AUDIO[:-LATE_BYTES]
        await may_end.wait()
        yield AUDIO[-LATE_BYTES:]

    async with running() as app, GrowingSpool(open_unnamed_file()) as spool:
        filling = asyncio.create_task(spool.fill(chunks(), 2**24))
        await spool.wait_beyond(2**20)
        early = app.service.begin_early(spool, TranscribeOptions(), RequestScope())
        await app.window()
        number = wav(2)[44 : 44 + 16_000]
        os.pwrite(spool.fd, number, 44)
        may_end.set()
        await filling
        transcript = asyncio.create_task(
            fold(app.service.transcribe(spool, TranscribeOptions(), RequestScope(), early))
        )
        while not transcript.done():
            app.harness.in_process.step()
            await asyncio.sleep(0.001)
        assert transcript.result().text == f" 2{TEXT[2:]}"
        assert app.harness.outcomes() == {"completed": 1}
        assert app.is_idle()


async def test_fast_and_small_uploads_begin_when_they_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as app:
        request = app.post("/asr", body := SlowBody(AUDIO))
        await asyncio.sleep(0.1)
        body.may_end.set()
        assert (await app.reply(request)).json()["text"] == TEXT
        monkeypatch.setattr(upload, "MIN_UPLOAD_S", 0.0)
        await app.reply(app.post("/asr", AUDIO[: upload.MIN_UPLOAD_BYTES - 1]))
        assert app.num_early() == 0


@pytest.mark.usefixtures("_at_once")
async def test_slow_senders_leave_most_of_the_server_to_others() -> None:
    async with running(max_requests=8) as app:
        slow = [app.post("/asr", SlowBody(AUDIO)) for _ in range(7)]
        await app.until(lambda: app.harness.count("asr_open_requests") == 2)
        others = [app.post("/asr", wav(number)) for number in range(1, 7)]
        assert [(await app.reply(other)).json()["text"] for other in others] == [f" {n}" for n in range(1, 7)]
        assert app.num_early() == 2
        for request in slow:
            request.cancel()
        await asyncio.wait(slow)
        assert app.is_idle()


async def test_audio_that_counts_for_a_key_begins_when_it_is_complete() -> None:
    async with running() as app, GrowingSpool(open_unnamed_file()) as spool:
        request = RequestScope(limits=AccountLimits(audio_s_per_hour=60))
        assert app.service.begin_early(spool, TranscribeOptions(), request) is None
        early = app.service.begin_early(spool, TranscribeOptions(), RequestScope(limits=AccountLimits(max_requests=1)))
        assert early is not None
        await early.aclose()


# -- over a socket ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    script = {"n_slots": 4, "step_s": 0.1, "steps_per_window": 10}  # 1 s a window
    with serving(tmp_path_factory.mktemp("server"), script) as started:
        yield started


HEAD = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(AUDIO)
EARLY_BYTES = len(AUDIO) - LATE_BYTES


def test_the_text_of_a_slow_upload_is_there_when_it_ends(server: Server) -> None:
    num_early, num_windows = (server.metric(f"asr_{name}_total") for name in ("early_transcriptions", "windows"))
    with server.connect() as sender:
        sender.sendall(HEAD + AUDIO[: EARLY_BYTES // 2])
        time.sleep(upload.MIN_UPLOAD_S + 0.1)
        sender.sendall(AUDIO[EARLY_BYTES // 2 : EARLY_BYTES])
        server.wait_for_metric("asr_windows_total", num_windows + 1)
        assert server.metric("asr_early_transcriptions_total") == num_early + 1
        sender.sendall(AUDIO[EARLY_BYTES:])
        assert f'"text": "{TEXT}"'.encode() in sender.makefile("rb").read()
    assert server.metric("asr_windows_total") == num_windows + NUM_WINDOWS
    assert server.transcribe(AUDIO).json()["text"] == TEXT


def test_a_client_that_leaves_in_its_upload_frees_the_slots_at_once(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    num_fds, num_processes = process.num_fds(), len(process.children(recursive=True))
    with server.connect() as sender:
        sender.sendall(HEAD + AUDIO[: EARLY_BYTES // 2])
        time.sleep(upload.MIN_UPLOAD_S + 0.1)
        sender.sendall(AUDIO[EARLY_BYTES // 2 : EARLY_BYTES])
        server.wait_for_metric("asr_busy_slots", 1)
    server.wait_for_metric("asr_busy_slots", 0, timeout_s=0.5)  # the window alone would take longer
    server.wait_for_metric("asr_open_requests", 0, timeout_s=0.5)
    deadline_s = time.monotonic() + 5
    while process.num_fds() > num_fds or len(process.children(recursive=True)) > num_processes:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert "Traceback" not in server.log.read_text()


def test_a_server_for_few_requests_waits_for_the_end_of_each_upload(tmp_path: Path) -> None:
    with serving(tmp_path, MAX_REQUESTS="3") as server, server.connect() as sender:
        sender.sendall(HEAD + AUDIO[:EARLY_BYTES])
        time.sleep(upload.MIN_UPLOAD_S + 0.1)
        sender.sendall(AUDIO[EARLY_BYTES:])
        assert f'"text": "{TEXT}"'.encode() in sender.makefile("rb").read()
        assert server.metric("asr_early_transcriptions_total") == 0
