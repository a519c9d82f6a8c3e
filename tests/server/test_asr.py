"""`POST /asr` as the original's clients use it, and every way in which a body can be wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from asr_api.audio.sources.policy import LocalPaths, MediaPolicy
from asr_api.errors import InvalidAudio, ModelLoading, ServerDraining, ServerOverloaded
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.server import lifecycle as entrance_module
from asr_api.server import request_limits as exchange
from asr_api.server.app import create_app
from asr_api.server.app_options import AppOptions
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware import is_local_client
from asr_api.transcript import Quality, Segment, TranscriptPart
from tests.server.fakes import INFO, SEGMENTS, FakeTranscriber

pytestmark = pytest.mark.anyio
AUDIO = b"RIFF" + bytes(range(256)) * 400
JSON = {"content-type": "application/json"}


def client(
    transcriber: FakeTranscriber | None, *, max_bytes: int = 2**20, peer: str = "127.0.0.1", root: Path | None = None
) -> httpx.AsyncClient:
    entrance = transcriber.entrance() if transcriber else ServiceHandle()
    policy = MediaPolicy(max_media_bytes=max_bytes, local_paths=LocalPaths(root=root))
    app = create_app(entrance, Metrics(), AppOptions(policy, "machine-1", "group-1"))
    transport = httpx.ASGITransport(app, client=(peer, 4321), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")


async def test_the_reply_is_the_originals() -> None:
    async with client(fake := FakeTranscriber()) as http:
        reply = await http.post("/asr", content=AUDIO, headers={"x-request-id": "abc-1"})
    assert reply.json() == {
        "text": " Hello wörld.",
        "chunks": [{"timestamp": [0.0, 1.24], "text": " Hello"}, {"timestamp": [1.24, 2.5], "text": " wörld."}],
    }
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-audio-length"] == "2.500"
    elapsed_s = float(reply.headers["x-processing-time"])
    assert float(reply.headers["x-realtime-factor"]) == pytest.approx(2.5 / elapsed_s, rel=0.1)
    names = ("x-model-id", "x-gpu-name", "x-salad-machine-id", "x-salad-container-group-id", "x-request-id")
    assert [reply.headers[name] for name in names] == ["fake/model", "Fake Processor?", "machine-1", "group-1", "abc-1"]
    assert not {"x-audio-truncated", "x-audio-damaged"} & set(reply.headers)
    assert fake.bodies == [AUDIO]
    assert fake.num_open_requests == 0


@pytest.mark.parametrize(
    "content_type", [None, "audio/wav", "application/x-www-form-urlencoded", "text/plain", "nonsense", "video/mp4; x=y"]
)
async def test_audio_is_taken_under_any_content_type(content_type: str | None) -> None:
    async with client(fake := FakeTranscriber()) as http:
        headers = {} if content_type is None else {"content-type": content_type}
        reply = await http.post("/asr", content=AUDIO, headers=headers)
    assert reply.status_code == 200
    assert fake.bodies == [AUDIO]


async def test_audio_that_begins_like_json_is_audio_and_comes_in_pieces() -> None:
    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    bodies = [b" {" + AUDIO[:500], b"{" * 70_000, b"\n \t" * 30_000 + AUDIO]
    async with client(fake := FakeTranscriber()) as http:
        for body in bodies:
            assert (await http.post("/asr", content=pieces(body))).status_code == 200
    assert fake.bodies == bodies


@pytest.mark.parametrize("headers", [JSON, {}, {"content-type": "application/x-www-form-urlencoded"}])
async def test_json_is_recognised_by_type_or_by_sight(tmp_path: Path, headers: dict[str, str]) -> None:
    (tmp_path / "a.wav").write_bytes(AUDIO)
    async with client(fake := FakeTranscriber(), root=tmp_path) as http:
        body = json.dumps({"url": "a.wav", "language": None}, indent=2)
        assert (await http.post("/asr", content=body, headers=headers)).status_code == 200
    assert fake.bodies == [AUDIO]


async def test_wishes_stand_in_the_query_or_in_the_json(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(AUDIO)
    query = (
        ("language", "German"),
        ("words", "true"),
        ("temperature", "0.4"),
        ("languages", "de"),
        ("languages", "en"),
    )
    body = {"language": "German", "words": True, "temperature": 0.4, "languages": ["de", "en"], "prompt": None}
    async with client(fake := FakeTranscriber(), root=tmp_path) as http:
        assert (await http.post("/asr", params={"prompt": "Süß & gut"}, content=AUDIO)).status_code == 200
        assert (await http.post("/asr", params=query, content=AUDIO)).status_code == 200
        assert (await http.post("/asr", json={"url": "a.wav", **body})).status_code == 200
        assert (await http.post("/asr", params={"task": "translate"}, json={"url": "a.wav"})).status_code == 200
        assert (await http.post("/asr", content=AUDIO)).status_code == 200
    expected = TranscribeOptions(language="de", languages=("de", "en"), temperatures=(0.4, 0.6, 0.8, 1.0), words=True)
    assert fake.wishes == [
        TranscribeOptions(prompt="Süß & gut"),
        expected,
        expected,
        TranscribeOptions(task="translate"),
        TranscribeOptions(),
    ]


async def test_a_bad_wish_is_refused_before_the_body_is_read() -> None:
    async def unread() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    english = replace(INFO, languages=("en",))
    async with client(fake := FakeTranscriber(info=english)) as http:
        for query in (
            "langauge=en",
            "language=de",
            "task=translate",
            "temperature=hot",
            "words=1&words=1",
            "languages=fr",
        ):
            headers = {"expect": "100-continue"}
            reply = await http.post(f"/asr?{query}", content=unread(), headers=headers)
            assert (reply.status_code, reply.json()["code"]) == (400, "invalid_parameter"), query
        wishes: list[dict[str, object]] = [
            {"words": "maybe"},
            {"words": {}},
            {"language": ["en", "de"]},
            {"langauge": "en"},
            {"prompt": "\ud800"},
        ]
        for wish in wishes:
            body = json.dumps({"url": "a.wav", **wish})
            reply = await http.post("/asr", content=body)
            assert (reply.status_code, reply.json()["code"]) == (400, "invalid_parameter"), wish
        twice = await http.post("/asr?language=en", json={"url": "a.wav", "language": "en"})
        assert twice.json()["error"] == "language has more than one value; give it one."
    assert not fake.bodies


async def test_the_language_and_what_is_doubtful_are_in_the_headers() -> None:
    doubtful = replace(SEGMENTS[1], quality=Quality(doubts=("repetition",)))
    part = TranscriptPart((SEGMENTS[0], doubtful), 2500, "en", omitted=(Segment(2000, 2500, " Thank you."),))
    async with client(FakeTranscriber(parts=(part,))) as http:
        reply = await http.post("/asr", content=AUDIO)
    assert (reply.headers["x-language"], reply.headers["x-transcript-doubts"]) == ("en", "2")
    async with client(FakeTranscriber()) as http:
        reply = await http.post("/asr", content=AUDIO)
    assert not {"x-language", "x-transcript-doubts"} & set(reply.headers)


async def test_silence_and_a_broken_off_file_are_answers() -> None:
    last = TranscriptPart((), 9_000, is_truncated=True, is_damaged=True)
    fake = FakeTranscriber(parts=(TranscriptPart((), 0), last))
    async with client(fake) as http:
        reply = await http.post("/asr", content=AUDIO)
    assert reply.json() == {"text": "", "chunks": []}
    names = ("x-audio-length", "x-audio-truncated", "x-audio-damaged")
    assert [reply.headers[name] for name in names] == ["9.000", "1", "1"]


NESTED, LONG_NUMBER = b'{"url":' + b"[" * 50_000, b'{"url":' + b"1" * 5_000 + b"}"
BAD_BODIES = [
    (b"", {}, 400, "empty_body"),
    (b"", JSON, 400, "empty_body"),
    (b"{", JSON, 400, "invalid_json"),
    (b'{"url"', {}, 400, "invalid_json"),
    (b"{}", JSON, 400, "missing_url"),
    (b'{"uri":"x"}', {}, 400, "missing_url"),
    (b"[]", JSON, 400, "invalid_request"),
    (b'{"url": "a", "words": true, "words": false}', JSON, 400, "invalid_request"),
    (b"123", JSON, 400, "invalid_request"),
    (b'"x"', JSON, 400, "invalid_request"),
    (b"null", JSON, 400, "invalid_request"),
    (b'{"url":5}', JSON, 400, "invalid_url"),
    (b'{"url":null}', {}, 400, "invalid_url"),
    (b'{"url":["a"]}', JSON, 400, "invalid_url"),
    (b'{"url":""}', JSON, 400, "invalid_url"),
    (b'{"url":"http://a/' + b"x" * 10_000 + b'"}', JSON, 400, "invalid_url"),
    (b"[" * 60_000, JSON, 400, "invalid_json"),
    (NESTED, JSON, 400, "invalid_json"),
    (LONG_NUMBER, JSON, 400, "invalid_json"),
    (b'{"url":"\\ud800"}', JSON, 400, "invalid_url"),
    (b'{"url":"' + b"x" * 2**19 + b'"}', JSON, 413, "json_too_large"),
    (b'{"url":"\xff"}', JSON, 400, "invalid_json"),
    (AUDIO, {"content-encoding": "gzip"}, 415, "unsupported_content_encoding"),
    (AUDIO, {"content-type": "multipart/form-data; boundary=x"}, 415, "unsupported_format"),
    (b'{"url":"ftp://example.org/a"}', JSON, 400, "unsupported_url_scheme"),
    (b'{"url":"http://127.0.0.1/"}', JSON, 403, "url_not_allowed"),
    (b'{"url":"/nowhere/to/be/found.wav"}', JSON, 404, "path_not_found"),
    (b"x" * (2**20 + 1), {}, 413, "body_too_large"),
    (AUDIO, {"origin": "http://evil.test"}, 403, "origin_not_allowed"),
    (AUDIO, {"origin": "null"}, 403, "origin_not_allowed"),
    (AUDIO, {"origin": "http://["}, 403, "origin_not_allowed"),
    (b'{"url":"/etc/hostname"}', {"host": "[:::::]"}, 403, "local_path_disabled"),
    (AUDIO, {"host": "a/b"}, 400, "invalid_host"),
    (AUDIO, {"transfer-encoding": "chunked", "content-length": "5"}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("body", "headers", "status", "code"), BAD_BODIES)
async def test_a_bad_request_has_its_status_and_code(
    body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    async with client(fake := FakeTranscriber()) as http:
        reply = await http.post("/asr", content=body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert set(reply.json()) == {"error", "code", "request_id"}
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
    assert reply.headers["x-should-retry"] == "false"
    assert reply.json()["error"].endswith(".")
    assert not fake.bodies


async def test_the_size_is_counted_where_none_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "LINGER_S", 0.1)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)

    async with client(FakeTranscriber()) as http:
        reply = await http.post("/asr", content=endless())
    assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")
    assert reply.headers["connection"] == "close"


async def test_a_page_of_our_own_may_post() -> None:
    async with client(FakeTranscriber()) as http:
        assert (await http.post("/asr", content=AUDIO, headers={"origin": "http://localhost:8000"})).status_code == 200


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (ServerOverloaded("Too busy; come back.", retry_after_s=12), 429),
        (ModelLoading("Loading; come back.", retry_after_s=12), 503),
        (ServerDraining("Stopping; come back.", retry_after_s=12), 503),
    ],
)
async def test_a_full_or_stopping_server_refuses_before_it_reads(
    refusal: ServerOverloaded | ModelLoading | ServerDraining, status: int
) -> None:
    async def unread() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    async with client(FakeTranscriber(refusal=refusal)) as http:
        for content in (AUDIO, unread()):
            headers = {"expect": "100-continue"}
            reply = await http.post("/asr", content=content, headers=headers)
            assert (reply.status_code, reply.json()["code"]) == (status, refusal.code)
            assert reply.headers["retry-after"] == "12"
            assert "x-should-retry" not in reply.headers


async def test_what_goes_wrong_inside_keeps_its_details_inside(caplog: pytest.LogCaptureFixture) -> None:
    async with client(FakeTranscriber(failure=RuntimeError("/secret/path"))) as http:
        reply = await http.post("/asr", content=AUDIO)
    assert (reply.status_code, reply.json()["code"]) == (500, "internal_error")
    assert reply.headers["x-should-retry"] == "false"
    assert "secret" not in reply.text
    assert "/secret/path" in caplog.text
    with caplog.at_level("INFO"):
        async with client(FakeTranscriber(failure=InvalidAudio("The audio is broken; send it again."))) as http:
            reply = await http.post("/asr", content=AUDIO)
    assert (reply.status_code, reply.json()["error"]) == (400, "The audio is broken; send it again.")
    assert "POST /asr 400 invalid_audio " in caplog.text


@pytest.mark.parametrize(
    ("peer", "headers", "is_local"),
    [
        ("127.0.0.1", {}, True),
        ("127.9.8.7", {"host": "127.0.0.1"}, True),
        ("::1", {"host": "[::1]:8000"}, True),
        ("::ffff:127.0.0.1", {}, True),
        ("10.0.0.7", {}, False),
        ("2001:db8::1", {}, False),
        ("127.0.0.1", {"x-forwarded-for": "10.0.0.7"}, False),
        ("127.0.0.1", {"forwarded": "for=10.0.0.7"}, False),
        ("127.0.0.1", {"x-real-ip": "10.0.0.7"}, False),
        ("127.0.0.1", {"via": "1.1 proxy"}, False),
        ("127.0.0.1", {"x-envoy-external-address": "10.0.0.7"}, False),
        ("127.0.0.1", {"x-cluster-client-ip": "10.0.0.7"}, False),
        ("127.0.0.1", {"x-original-forwarded-for": "10.0.0.7"}, False),
        ("127.0.0.1", {"cf-connecting-ip": "10.0.0.7"}, False),
        ("127.0.0.1", {"host": "rebound.evil.test:8000"}, False),
    ],
)
async def test_paths_are_for_clients_on_this_machine(
    tmp_path: Path, peer: str, headers: dict[str, str], is_local: bool
) -> None:
    (path := tmp_path / "a.wav").write_bytes(AUDIO)
    async with client(fake := FakeTranscriber(), peer=peer) as http:
        reply = await http.post("/asr", json={"url": str(path)}, headers=headers)
    assert (reply.status_code, fake.bodies) == ((200, [AUDIO]) if is_local else (403, []))
    assert is_local or reply.json()["code"] == "local_path_disabled"


def test_what_nginx_says_by_default_is_not_taken_for_a_client_on_this_machine() -> None:
    scope = {"type": "http", "headers": [(b"host", b"localhost:8000")], "client": ("127.0.0.1", 50_000)}
    assert is_local_client(scope | {"http_version": "1.1"})
    assert not is_local_client(scope | {"http_version": "1.0"})


async def test_work_that_must_end_says_so() -> None:
    fake = FakeTranscriber(gate=asyncio.Event())
    entrance = fake.entrance()
    app = create_app(entrance, Metrics(), AppOptions(MediaPolicy()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        pending = asyncio.create_task(http.post("/asr", content=AUDIO))
        await fake.started.wait()
        entrance.abort()
        reply = await pending
    assert (reply.status_code, reply.json()["code"]) == (503, "server_draining")
    assert fake.num_open_requests == 0


async def test_as_many_recordings_may_come_in_as_requests_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance_module, "MIN_RECEIVING", 2)
    for max_requests, expected in ((0, 2), (5, 5)):
        entrance = ServiceHandle(max_requests=max_requests)
        async with AsyncExitStack() as places:
            for _ in range(expected):
                await places.enter_async_context(entrance.receiving())
            with pytest.raises(ServerOverloaded, match=f"receiving {expected} recordings"):
                await places.enter_async_context(entrance.receiving())


async def test_recordings_that_come_in_are_counted_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance_module, "MIN_RECEIVING", 1)
    is_first, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield AUDIO
        is_first.set()
        await may_end.wait()

    transcriber = FakeTranscriber()
    async with client(transcriber) as http:
        first = asyncio.create_task(http.post("/asr", content=slow()))
        await is_first.wait()
        refused = await http.post("/asr", content=AUDIO)
        may_end.set()
        assert (refused.status_code, refused.json()["code"]) == (429, "server_overloaded")
        assert transcriber.metrics.requests.labels("refused")._value.get() == 1
        assert (await first).status_code == 200
        assert (await http.post("/asr", content=AUDIO)).status_code == 200


async def test_the_texts_are_in_order() -> None:
    parts = tuple(TranscriptPart((segment,), segment.end_ms) for segment in SEGMENTS)
    async with client(FakeTranscriber(parts=parts)) as http:
        assert (await http.post("/asr", content=AUDIO)).json()["text"] == " Hello wörld."
