"""`POST /asr`: the contract of the original, and the status and code of each bad request."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from asr_api.errors import AsrError, InvalidAudio, ModelLoading, ServerDraining, ServerOverloaded
from asr_api.events import FinalSegments, TranscriptEnd
from asr_api.options import DecodeOptions, TranscribeOptions
from asr_api.pcm import AudioEnd
from asr_api.request import RequestScope
from asr_api.server import lifecycle, local_client
from asr_api.server.client_network import client_network
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.schemas import AsrReply
from asr_api.transcript import Quality, Segment, Word
from tests.server.fakes import INFO, SEGMENTS, FakeService, client, pieces_of
from tests.service import metric_value

pytestmark = pytest.mark.anyio
AUDIO = b"RIFF" + bytes(range(256)) * 400
JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def _own_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no socket that the kernel could know."""
    monkeypatch.setattr(local_client, "peer_uid", lambda *_: os.geteuid())


async def unread() -> AsyncIterator[bytes]:
    pytest.fail("the body was read")
    yield b""


async def test_the_reply_is_that_of_the_original() -> None:
    salad = {"salad_machine_id": "machine-1", "salad_container_group_id": "group-1"}
    async with client(fake := FakeService(), peer="10.0.0.7", **salad) as http:
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
    assert not {"x-audio-truncated", "x-audio-damaged", "x-language", "x-transcript-doubts"} & set(reply.headers)
    assert fake.bodies == [AUDIO]
    assert fake.num_open_requests == 0
    assert [(request.request_id, request.client) for request in fake.requests] == [("abc-1", "10.0.0.7")]


async def test_each_api_key_is_a_tenant_and_goes_no_further() -> None:
    key, other = {"authorization": "Bearer sk-1"}, {"authorization": "Bearer sk-2"}
    async with client(fake := FakeService()) as http:
        for headers in ({}, key, other, {"x-api-key": "Bearer sk-1"}, {**key, "x-api-key": "sk-3"}, key):
            assert (await http.post("/asr", content=AUDIO, headers=headers)).status_code == 200
    tenants = [request.tenant for request in fake.requests]
    assert (tenants[0], tenants[5], len({*tenants})) == ("", tenants[1], 5)
    assert {len(tenant) for tenant in tenants[1:]} == {64}
    assert not any(hidden in repr(fake.requests) for hidden in ("sk-", tenants[1]))


@pytest.mark.parametrize(
    "content_type", [None, "audio/wav", "application/x-www-form-urlencoded", "text/plain", "nonsense", "video/mp4; x=y"]
)
async def test_audio_of_the_same_origin_is_accepted_under_any_content_type(content_type: str | None) -> None:
    async with client(fake := FakeService()) as http:
        headers = {"origin": "http://localhost:8000"} | ({} if content_type is None else {"content-type": content_type})
        reply = await http.post("/asr", content=AUDIO, headers=headers)
    assert reply.status_code == 200
    assert fake.bodies == [AUDIO]


async def test_audio_that_begins_like_json_is_audio() -> None:
    bodies = [b" {" + AUDIO[:500], b"{" * 70_000, b"\n \t" * 30_000 + AUDIO]
    async with client(fake := FakeService()) as http:
        for body in bodies:
            assert (await http.post("/asr", content=pieces_of(body, 1000))).status_code == 200
    assert fake.bodies == bodies


@pytest.mark.parametrize("headers", [JSON, {}, {"content-type": "application/x-www-form-urlencoded"}])
async def test_json_is_recognised_by_type_or_by_content(tmp_path: Path, headers: dict[str, str]) -> None:
    (tmp_path / "a.wav").write_bytes(AUDIO)
    async with client(fake := FakeService(), allowed_local_media_path=str(tmp_path)) as http:
        body = json.dumps({"url": "a.wav", "language": None}, indent=2)
        assert (await http.post("/asr", content=body, headers=headers)).status_code == 200
    assert fake.bodies == [AUDIO]


async def test_parameters_are_in_the_query_or_in_the_json(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(AUDIO)
    query = {"language": "German", "words": "true", "temperature": "0.4", "languages": ["de", "en"]}
    body = {"language": "German", "words": True, "temperature": 0.4, "languages": ["de", "en"], "prompt": None}
    async with client(fake := FakeService(), allowed_local_media_path=str(tmp_path)) as http:
        assert (await http.post("/asr", params={"prompt": "Süß & gut"}, content=AUDIO)).status_code == 200
        assert (await http.post("/asr", params=query, content=AUDIO)).status_code == 200
        assert (await http.post("/asr", json={"url": "a.wav", **body})).status_code == 200
        assert (await http.post("/asr", params={"task": "translate"}, json={"url": "a.wav"})).status_code == 200
        for language in ("auto", "Auto", ""):
            assert (await http.post("/asr", params={"language": language}, content=AUDIO)).status_code == 200
        assert (await http.post("/asr", json={"url": "a.wav", "language": "AUTO"})).status_code == 200
    german = DecodeOptions(language="de", languages=("de", "en"), temperatures=(0.4, 0.6, 0.8, 1.0), words=True)
    expected = [
        DecodeOptions(prompt="Süß & gut"),
        german,
        german,
        DecodeOptions(task="translate"),
        *[DecodeOptions()] * 4,
    ]
    assert fake.options == [TranscribeOptions(decode) for decode in expected]


async def test_a_bad_parameter_is_refused_before_the_body_is_read() -> None:
    queries = ("langauge=en", "language=de", "task=translate", "temperature=hot", "words=1&words=1", "languages=fr")
    english = replace(INFO, languages=("en",), can_translate=False)
    async with client(fake := FakeService(info=english)) as http:
        for query in queries:
            reply = await http.post(f"/asr?{query}", content=unread(), headers={"expect": "100-continue"})
            assert (reply.status_code, reply.json()["code"]) == (400, "invalid_parameter"), query
        bodies: list[dict[str, object]] = [
            {"words": "maybe"}, {"words": {}}, {"language": ["en", "de"]}, {"langauge": "en"}, {"prompt": "\ud800"},
        ]  # fmt: skip
        for body in bodies:
            reply = await http.post("/asr", content=json.dumps({"url": "a.wav", **body}))
            assert (reply.status_code, reply.json()["code"]) == (400, "invalid_parameter"), body
        twice = await http.post("/asr?language=en", json={"url": "a.wav", "language": "en"})
        assert twice.json()["error"] == "language has more than one value; give it one."
    assert not fake.bodies


async def test_a_stream_has_one_format() -> None:
    async with client(fake := FakeService()) as http:
        headers = {"accept": "text/event-stream"}
        reply = await http.post("/asr?output=srt", content=AUDIO, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_parameter")
        assert not fake.bodies
        reply = await http.post("/asr", content=AUDIO, headers=headers)
    chunk, other, end = reply.text.strip().split("\n\n")
    assert chunk == 'event: chunk\ndata: {"timestamp": [0.0, 1.24], "text": " Hello"}'
    assert other == 'event: chunk\ndata: {"timestamp": [1.24, 2.5], "text": " wörld."}'
    assert end == 'event: done\ndata: {"text": " Hello wörld.", "language": null, "duration": 2.5}'


async def test_language_doubts_and_damage_are_in_the_headers() -> None:
    doubtful = replace(SEGMENTS[1], quality=Quality(doubts=("repetition",)))
    final = FinalSegments((SEGMENTS[0], doubtful), 2500, "en", omitted=(Segment(2000, 2500, " Thank you."),))
    async with client(FakeService(events=(final, TranscriptEnd(2500, "en")))) as http:
        reply = await http.post("/asr", content=AUDIO)
    assert (reply.headers["x-language"], reply.headers["x-transcript-doubts"]) == ("en", "2")
    silence = (FinalSegments((), 0), TranscriptEnd(9_000, end=AudioEnd(is_truncated=True, is_damaged=True)))
    async with client(FakeService(events=silence)) as http:
        reply = await http.post("/asr", content=AUDIO)
    assert reply.json() == {"text": "", "chunks": []}
    names = ("x-audio-length", "x-audio-truncated", "x-audio-damaged")
    assert [reply.headers[name] for name in names] == ["9.000", "1", "1"]


BAD_REQUESTS = [  # those that tests/attack does not send, because its server has a root for paths
    (b'{"url":"/nowhere/to/be/found.wav"}', JSON, 404, "path_not_found"),
    (b'{"url":"/etc/hostname"}', {"host": "[:::::]"}, 403, "local_path_disabled"),
    (b'{"url":"http://127.0.0.1/"}', JSON, 403, "url_not_allowed"),
    (AUDIO, {"origin": "http://["}, 403, "origin_not_allowed"),
]


@pytest.mark.parametrize(("body", "headers", "status", "code"), BAD_REQUESTS)
async def test_bad_requests(body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    async with client(fake := FakeService()) as http:
        reply = await http.post("/asr", content=body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert set(reply.json()) == {"error", "code", "request_id"}
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
    assert reply.headers["x-should-retry"] == "false"
    assert reply.json()["error"].endswith(".")
    assert not fake.bodies


@pytest.mark.parametrize("kind", [ServerOverloaded, ModelLoading, ServerDraining])
async def test_a_full_or_stopping_server_refuses_before_the_body_is_read(kind: type[AsrError]) -> None:
    refusal = kind("Not now; try again.", retry_after_s=12)
    async with client(FakeService(refusal=refusal)) as http:
        for content in (AUDIO, unread()):
            reply = await http.post("/asr", content=content, headers={"expect": "100-continue"})
            assert (reply.status_code, reply.json()["code"]) == (429 if kind is ServerOverloaded else 503, kind.code)
            assert reply.headers["retry-after"] == "12"
            assert "x-should-retry" not in reply.headers


async def test_an_internal_error_does_not_leak_details(caplog: pytest.LogCaptureFixture) -> None:
    async with client(FakeService(failure=RuntimeError("/secret/path"))) as http:
        reply = await http.post("/asr", content=AUDIO)
    assert (reply.status_code, reply.json()["code"]) == (500, "internal_error")
    assert reply.headers["x-should-retry"] == "false"
    assert "secret" not in reply.text
    assert "/secret/path" in caplog.text
    with caplog.at_level("INFO"):
        async with client(FakeService(failure=InvalidAudio("The audio is broken; send it again."))) as http:
            reply = await http.post("/asr", content=AUDIO)
    assert (reply.status_code, reply.json()["error"]) == (400, "The audio is broken; send it again.")
    assert "POST /asr 400 invalid_audio " in caplog.text


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.9.8.7", {"host": "127.0.0.1"}, 200),
        ("::1", {"host": "[::1]:8000"}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("10.0.0.7", {}, 403),
        ("127.0.0.1", {"x-forwarded-for": "10.0.0.7"}, 403),
    ],
)
async def test_only_local_clients_name_paths(tmp_path: Path, peer: str, headers: dict[str, str], status: int) -> None:
    (path := tmp_path / "a.wav").write_bytes(AUDIO)
    async with client(fake := FakeService(), peer=peer) as http:
        reply = await http.post("/asr", json={"url": str(path)}, headers=headers)
    assert (reply.status_code, fake.bodies) == (status, [AUDIO] if status == 200 else [])
    assert reply.json().get("code", "") == ("" if status == 200 else "local_path_disabled")


async def test_an_aborted_request_gets_an_error() -> None:
    handle = (fake := FakeService(release=asyncio.Event())).handle()
    async with client(handle) as http:
        pending = asyncio.create_task(http.post("/asr", content=AUDIO))
        await fake.started.wait()
        handle.abort()
        reply = await pending
    assert (reply.status_code, reply.json()["code"]) == (503, "server_draining")
    assert fake.num_open_requests == 0


async def test_there_are_as_many_upload_slots_as_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "MIN_UPLOAD_SLOTS", 2)
    for max_requests, expected in ((0, 2), (5, 5)):
        handle = ServiceHandle(max_requests=max_requests)
        async with AsyncExitStack() as slots:
            for _ in range(expected):
                await slots.enter_async_context(handle.upload_slot(RequestScope()))
            with pytest.raises(ServerOverloaded, match=f"receiving {expected} recordings"):
                await slots.enter_async_context(handle.upload_slot(RequestScope()))


async def test_an_upload_holds_its_slot_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "MIN_UPLOAD_SLOTS", 1)
    is_first, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield AUDIO
        is_first.set()
        await may_end.wait()

    async with client(fake := FakeService()) as http:
        first = asyncio.create_task(http.post("/asr", content=slow()))
        await is_first.wait()
        refused = await http.post("/asr", content=AUDIO)
        may_end.set()
        assert (refused.status_code, refused.json()["code"]) == (429, "server_overloaded")
        assert metric_value(fake.registry, "asr_requests_total", outcome="refused") == 1
        assert (await first).status_code == 200
        assert (await http.post("/asr", content=AUDIO)).status_code == 200


async def test_links_have_slots_of_their_own_and_paths_need_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lifecycle, "MIN_UPLOAD_SLOTS", 1)
    (path := tmp_path / "a.wav").write_bytes(AUDIO)
    handle = FakeService().handle()
    holder = RequestScope(account=client_network("127.0.0.1"))
    async with (
        handle.upload_slot(holder, is_download=True),
        client(handle, allowed_local_media_path=str(tmp_path)) as http,
    ):
        assert (await http.post("/asr", content=AUDIO)).status_code == 200
        assert (await http.post("/asr", json={"url": str(path)})).status_code == 200
        refused = await http.post("/asr", json={"url": "https://audio.example/a.wav"})
    assert (refused.status_code, refused.json()["code"]) == (429, "server_overloaded")
    assert refused.json()["error"] == "The server is downloading 1 links already; try again in a moment."


async def test_replies_fit_their_schema() -> None:
    words = (Word(0, 500, " Hello"),)
    doubtful = replace(SEGMENTS[0], words=words, quality=Quality(doubts=("repetition",)))
    omitted = replace(SEGMENTS[1], quality=Quality(doubts=("no_speech",)))
    events = (FinalSegments((doubtful,), 2500, omitted=(omitted,)), TranscriptEnd(2500))
    async with client(FakeService(events=events)) as http:
        reply = await http.post("/asr", content=AUDIO)
    parsed = AsrReply.model_validate_json(reply.content, strict=True)
    assert parsed.model_dump(exclude_none=True) == reply.json()


async def test_a_reply_of_four_hours_with_words_does_not_hold_the_event_loop() -> None:
    words = tuple(Word(n * 350, n * 350 + 300, " word") for n in range(8))
    segments = tuple(Segment(n * 2800, n * 2800 + 2700, " word" * 8, words) for n in range(4 * 3600 * 10 // 28))
    events = (FinalSegments(segments, 4 * 3_600_000), TranscriptEnd(4 * 3_600_000))
    delays_s: list[float] = []

    async def measure() -> None:
        while True:
            started_s = time.perf_counter()
            await asyncio.sleep(0.001)
            delays_s.append(time.perf_counter() - started_s - 0.001)

    async with client(FakeService(events=events)) as http:
        measuring = asyncio.create_task(measure())
        reply = await http.post("/asr", content=AUDIO)
        measuring.cancel()
    assert len(reply.content) > 2_000_000
    assert sorted(delays_s)[-3] < 0.03  # 10 ms on a quiet machine; a call of the encoder for all of it took 157 ms
