"""Every reply has exactly the fields and types that OpenAI's Python client declares, and those that are listed here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.pagination import SyncPage
from openai.types import ErrorObject, Model
from openai.types.audio import (
    Transcription,
    TranscriptionStreamEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)
from pydantic import BaseModel

from tests.clients.openai_calls import MODEL, openai_options
from tests.clients.shapes import shape_errors
from tests.product.samples import SAMPLES
from tests.server.running import Server, wav

pytestmark = pytest.mark.clients

# What OpenAI's server sends although its client does not declare it, and the code beside the name of the language.
VERBOSE_EXTRAS = {"$.task is unknown", "$.language_code is unknown"}
AUDIO = wav(*range(1, 60))
HELLO = (SAMPLES / "hello.wav").read_bytes()
WORDS = {"timestamp_granularities[]": ["word"]}
BOTH = {"timestamp_granularities[]": ["word", "segment"]}
LOGPROBS = {"include[]": "logprobs"}


class ErrorBody(BaseModel):
    error: ErrorObject


@pytest.fixture(params=["scripted", "base"])
def http(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Of both engines: a real model fills fields that the scripted one leaves out."""
    server: Server = request.getfixturevalue(request.param)
    with server.http() as client:
        yield client


def post(http: httpx.Client, resource: str, audio: bytes, **fields: object) -> httpx.Response:
    data = {"model": MODEL, **fields}
    return http.post(f"/v1/audio/{resource}", data=data, files={"file": ("audio.wav", audio)})


@pytest.mark.parametrize("audio", [AUDIO, HELLO, wav(pause_s=1)], ids=["numbers", "speech", "silence"])
@pytest.mark.parametrize(
    ("fields", "expected", "extras"),
    [
        ({}, Transcription, set()),
        (LOGPROBS, Transcription, set()),
        ({"response_format": "verbose_json"}, TranscriptionVerbose, VERBOSE_EXTRAS),
        ({"response_format": "verbose_json", **WORDS}, TranscriptionVerbose, VERBOSE_EXTRAS),
        ({"response_format": "verbose_json", **BOTH}, TranscriptionVerbose, VERBOSE_EXTRAS),
    ],
)
def test_a_transcription(
    http: httpx.Client, audio: bytes, fields: dict[str, object], expected: object, extras: set[str]
) -> None:
    assert set(shape_errors(post(http, "transcriptions", audio, **fields).json(), expected)) == extras


@pytest.mark.parametrize("audio", [AUDIO, HELLO, wav(pause_s=1)], ids=["numbers", "speech", "silence"])
@pytest.mark.parametrize("fields", [{}, LOGPROBS])
def test_the_events_of_a_stream(http: httpx.Client, audio: bytes, fields: dict[str, object]) -> None:
    reply = post(http, "transcriptions", audio, stream="true", **fields)
    *events, end = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]
    assert end == "[DONE]"
    assert [error for event in events for error in shape_errors(json.loads(event), TranscriptionStreamEvent)] == []


@pytest.mark.parametrize(
    ("response_format", "expected", "extras"),
    [
        ("json", Translation, set()),
        # The length of the audio, as for a transcription.
        ("verbose_json", TranslationVerbose, VERBOSE_EXTRAS | {"$.usage is unknown"}),
    ],
)
def test_a_translation(scripted: Server, response_format: str, expected: object, extras: set[str]) -> None:
    with scripted.http() as http:
        reply = post(http, "translations", AUDIO, response_format=response_format)
    assert set(shape_errors(reply.json(), expected)) == extras


@pytest.mark.parametrize(
    ("fields", "audio", "status"),
    [({"model": "other"}, AUDIO, 404), ({"temperature": "hot"}, AUDIO, 400), ({}, b"", 400), ({}, b"no audio", 415)],
)
def test_an_error(scripted: Server, fields: dict[str, Any], audio: bytes, status: int) -> None:
    with scripted.http() as http:
        reply = post(http, "transcriptions", audio, **fields)
    assert reply.status_code == status
    assert shape_errors(reply.json(), ErrorBody) == []


def test_models(scripted: Server) -> None:
    with scripted.http() as http:
        listed = http.get("/v1/models").json()
        extras = {f"$.data[{index}].capabilities is unknown" for index in range(len(listed["data"]))}
        assert set(shape_errors(listed, SyncPage[Model])) == extras
        for model in listed["data"]:
            assert http.get(f"/v1/models/{model['id']}").json() == model
        assert shape_errors(http.get("/v1/models/other").json(), ErrorBody) == []


def test_the_client_finds_each_model_by_its_id(scripted: Server) -> None:
    with OpenAI(**openai_options(scripted)) as client:
        models = client.models.list().data
        assert {MODEL, "openai/whisper-large-v3"} <= {model.id for model in models}
        assert [client.models.retrieve(model.id) for model in models] == models
