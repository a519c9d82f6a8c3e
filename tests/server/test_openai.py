"""OpenAI's routes over HTTP: formats, streams, models, and errors in the shape of its clients."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from asr_api.errors import EngineRestarting, InternalError, InvalidAudio, ServerOverloaded
from asr_api.events import FinalSegments, TranscriptEnd
from asr_api.server.lifecycle import ServiceHandle
from asr_api.transcript import Quality, Segment, Usage
from tests.server.fakes import INFO, FakeService, client
from tests.server.running import wav

pytestmark = pytest.mark.anyio

PATH = "/v1/audio/transcriptions"
AUDIO = wav(3)
TOKENS = Segment(0, 1_240, " Hello", tokens=(5,), logprobs=(-0.5,), token_bytes=(b" Hello",), quality=Quality())
EVENTS = (
    FinalSegments((TOKENS,), 1_240, "en"),
    FinalSegments(
        (replace(TOKENS, start_ms=1_240, end_ms=2_500, text=" world.", token_bytes=(b" world.",)),), 2_500, "en"
    ),
    TranscriptEnd(2_500, "en", Usage(2_500, 2, 9)),
)


async def post(service: FakeService, path: str = PATH, **fields: str) -> httpx.Response:
    async with client(service) as http:
        return await http.post(path, files={"file": ("a.wav", AUDIO)}, data=fields)


def events_of(reply: httpx.Response) -> list[Any]:
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    data = [part.removeprefix("data: ") for part in reply.text.split("\n\n") if part.startswith("data: ")]
    return [part if part == "[DONE]" else json.loads(part) for part in data]


async def test_the_file_is_transcribed_and_closed() -> None:
    reply = await post(fake := FakeService(events=EVENTS), model="whisper-1", language="en")
    assert reply.status_code == 200
    assert reply.json()["text"] == "Hello world."
    assert fake.bodies == [AUDIO]
    assert fake.options[0].decode.language == "en"
    assert reply.headers["x-language"] == "en"
    assert reply.headers["x-request-id"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("text", "Hello world.\n"),
        ("srt", "1\n00:00:00,000 --> 00:00:02,500\nHello world.\n\n"),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:02.500\nHello world.\n\n"),
    ],
)
async def test_other_formats_are_plain_text(name: str, expected: str) -> None:
    reply = await post(FakeService(events=EVENTS), response_format=name)
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.text == expected


async def test_translations_are_english() -> None:
    fake = FakeService(events=EVENTS, info=replace(INFO, languages=("en", "de")))
    reply = await post(fake, "/v1/audio/translations", response_format="verbose_json")
    assert (reply.json()["task"], reply.json()["language"]) == ("translate", "english")
    assert fake.options[0].decode.task == "translate"
    assert (await post(fake, "/v1/audio/translations")).json() == {"text": "Hello world."}


async def test_a_stream_ends_with_the_whole_text() -> None:
    *deltas, done, end = events_of(await post(FakeService(events=EVENTS), stream="true"))
    assert [delta["delta"] for delta in deltas] == ["Hello", " world."]
    assert done == {
        "type": "transcript.text.done",
        "text": "Hello world.",
        "languages": [{"code": "en"}],
        "usage": {
            "type": "tokens",
            "input_tokens": 125,
            "input_token_details": {"audio_tokens": 125},
            "output_tokens": 9,
            "total_tokens": 134,
        },
    }
    assert end == "[DONE]"


async def test_log_probabilities_come_with_their_text() -> None:
    fields = {"stream": "true", "include[]": "logprobs"}
    first, second, done, _ = events_of(await post(FakeService(events=EVENTS), **fields))
    assert first["logprobs"] == [{"token": " Hello", "bytes": list(b" Hello"), "logprob": -0.5}]
    assert done["logprobs"] == first["logprobs"] + second["logprobs"]


async def test_silence_is_a_stream_without_deltas() -> None:
    done, end = events_of(await post(FakeService(events=(TranscriptEnd(900),)), stream="true"))
    assert (done["text"], done["languages"], end) == ("", [], "[DONE]")


async def test_an_error_before_the_first_text_has_its_status() -> None:
    for fields in ({}, {"stream": "true"}):
        reply = await post(FakeService(failure=InvalidAudio("The audio is damaged; send the whole file.")), **fields)
        expected = {"type": "invalid_request_error", "param": None, "code": "invalid_audio"}
        assert reply.status_code == 400
        assert reply.headers["x-should-retry"] == "false"
        assert reply.json() == {"error": {"message": "The audio is damaged; send the whole file.", **expected}}


@pytest.mark.parametrize(
    ("refusal", "status", "kind"),
    [
        (ServerOverloaded("Full; try again.", retry_after_s=7), 429, "rate_limit_error"),
        (EngineRestarting("It restarts; try again.", retry_after_s=7), 503, "server_error"),
    ],
)
async def test_a_refusal_says_when_to_retry(refusal: Exception, status: int, kind: str) -> None:
    reply = await post(FakeService(refusal=refusal))  # type: ignore[arg-type]
    assert (reply.status_code, reply.json()["error"]["type"]) == (status, kind)
    assert (reply.headers["retry-after"], reply.headers["retry-after-ms"]) == ("7", "7000")
    assert "x-should-retry" not in reply.headers


async def test_mistakes_have_the_shape_of_the_clients() -> None:
    async with client(fake := FakeService()) as http:
        files = {"file": ("a.wav", AUDIO)}
        replies = [
            (await http.post(PATH, files=files, data={"model": "tts-1"}), 404, "model_not_found", "model"),
            (await http.post(PATH, files=files, data={"temperature": "hot"}), 400, "invalid_parameter", "temperature"),
            (await http.post(PATH, files={"model": (None, "whisper-1")}), 400, "missing_file", "file"),
            (await http.post(PATH, files={"file": (None, "talk.mp3")}), 400, "invalid_form", None),
            (await http.post(PATH, content=AUDIO), 400, "invalid_form", None),
            (await http.get(PATH), 405, "method_not_allowed", None),
            (await http.get("/v1/nothing"), 404, "not_found", None),
        ]
    for reply, status, code, parameter in replies:
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (status, code), error
        assert error["param"] == parameter or parameter is None
        assert error["type"] == "invalid_request_error"
    assert not fake.bodies


async def test_models_are_the_served_one_and_its_names() -> None:
    async with client(FakeService(), model_id="openai/whisper-base", model_aliases="whisper-1,mine") as http:
        listed = (await http.get("/v1/models")).json()
        assert [model["id"] for model in listed["data"]] == ["openai/whisper-base", "whisper-1", "mine"]
        model = (await http.get("/v1/models/openai%2Fwhisper-base")).json()
        assert (model["object"], model["owned_by"]) == ("model", "openai")
        assert (await http.get("/v1/models/mine")).json()["id"] == "mine"
        for path in ("/v1/models/other", "/v1/models/"):
            assert (await http.get(path)).json()["error"]["code"] == "model_not_found"


async def test_models_tell_what_they_can_do_once_they_are_loaded() -> None:
    info = replace(INFO, languages=("en", "de"), can_translate=False)
    async with client(FakeService(info=info)) as http:
        (model, *_) = (await http.get("/v1/models")).json()["data"]
    assert model["capabilities"] == {
        "languages": {"en": "english", "de": "german"},
        "language_detection": True,
        "translation": False,
        "prompts": True,
        "word_timestamps": True,
    }
    async with client(ServiceHandle()) as http:
        reply = await http.get("/v1/models")
    assert reply.status_code == 200
    assert "capabilities" not in reply.json()["data"][0]


async def test_an_unexpected_failure_is_an_error_of_the_server() -> None:
    reply = await post(FakeService(failure=RuntimeError("secret")))
    assert (reply.status_code, reply.json()["error"]["type"]) == (500, "server_error")
    assert "secret" not in reply.text


async def test_an_error_in_a_stream_is_an_event() -> None:
    class Failing(FakeService):
        async def transcribe(self, *_arguments: Any) -> Any:
            yield EVENTS[0]
            raise InternalError("It failed; report it.")

    delta, error = events_of(await post(Failing(), stream="true"))
    assert delta["delta"] == "Hello"
    assert error["error"] == {
        "message": "It failed; report it.",
        "type": "server_error",
        "param": None,
        "code": "internal_error",
    }
