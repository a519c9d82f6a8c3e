"""OpenAI's Python client raises its errors for ours, and repeats what is worth a repeat when the server says so."""

from __future__ import annotations

import itertools
import re
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from openai import DefaultHttpxClient, OpenAI

from asr_api.benchmark.speech import wav_bytes
from tests.clients.openai_calls import MODEL, openai_options
from tests.engines.scripted import FAIL, number_pcm
from tests.server.running import Server, serving, wav

pytestmark = pytest.mark.clients

AUDIO = wav(7, 42)
SLOW = {"step_s": 0.05, "steps_per_window": 30}  # 1.5 s
HURRIED = {"x-request-timeout": "0.2"}
EARLY_S = 0.05  # by which a client's clock may be off


def num_requests(server: Server, request_id: str) -> int:
    return len(re.findall(rf" {request_id} POST ", server.log.read_text()))


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 5
    while not is_true():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def create(server: Server, **options: Any) -> Any:
    """With the retries that the client makes by default."""
    with OpenAI(**openai_options(server) | {"max_retries": 2}) as client:
        return client.audio.transcriptions.create(**{"file": ("audio.wav", AUDIO), "model": MODEL, **options})


@pytest.mark.parametrize(
    ("options", "kind", "code", "param"),
    [
        ({"model": "other"}, openai.NotFoundError, "model_not_found", "model"),
        ({"temperature": 1.5}, openai.BadRequestError, "invalid_parameter", "temperature"),
        ({"language": "klingon"}, openai.BadRequestError, "invalid_parameter", "language"),
        ({"languages": ["en", "klingon"]}, openai.BadRequestError, "invalid_parameter", "languages"),
        ({"file": ("audio.wav", b"this is no audio")}, openai.APIStatusError, "unsupported_format", None),
        ({"file": ("audio.wav", b"")}, openai.BadRequestError, "empty_audio", None),
        ({"extra_body": {"colour": "red"}}, openai.BadRequestError, "invalid_parameter", "colour"),
        ({"response_format": "diarized_json"}, openai.BadRequestError, "invalid_parameter", "response_format"),
        ({"known_speaker_names": ["Ada"]}, openai.BadRequestError, "invalid_parameter", "known_speaker_names"),
        ({"response_format": "srt", "stream": True}, openai.BadRequestError, "invalid_parameter", "stream"),
        ({"timestamp_granularities": ["word"]}, openai.BadRequestError, "invalid_parameter", "timestamp_granularities"),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 2}}, openai.BadRequestError, "invalid_parameter",
         "chunking_strategy"),
    ],
)  # fmt: skip
def test_a_bad_request_is_sent_once_and_raises(
    scripted: Server, options: dict[str, Any], kind: type[openai.APIStatusError], code: str, param: str | None
) -> None:
    request_id = uuid.uuid4().hex
    with pytest.raises(kind) as raised:
        create(scripted, extra_headers={"x-request-id": request_id}, **options)
    error = raised.value
    assert (error.code, error.param, error.type) == (code, param, "invalid_request_error")
    assert error.request_id == request_id
    wait_until(lambda: num_requests(scripted, request_id) > 0)  # it is logged when the reply is sent
    assert num_requests(scripted, request_id) == 1


@pytest.mark.parametrize(
    "extra", [{"extra_body": {"timeout": 0.2}}, {"extra_query": {"timeout": 0.2}}, {"extra_headers": HURRIED}]
)
def test_a_deadline_ends_a_request_once_and_for_all(tmp_path: Path, extra: dict[str, Any]) -> None:
    with serving(tmp_path, {"step_s": 60}) as server:
        with pytest.raises(openai.InternalServerError) as raised:
            create(server, **extra)
        assert (raised.value.status_code, raised.value.code) == (504, "deadline_exceeded")
        assert raised.value.body["partial"] == {"text": "", "chunks": []}
        wait_until(lambda: "POST /v1/audio/transcriptions" in server.log.read_text())  # it is logged after the reply
        assert server.log.read_text().count("POST /v1/audio/transcriptions") == 1


def test_an_error_in_the_middle_of_a_stream_raises(tmp_path: Path) -> None:
    pcm = np.concatenate((number_pcm(range(1, 40)), number_pcm([50], mark=FAIL)))
    deltas: list[str] = []
    with serving(tmp_path, {"n_slots": 1}) as server, OpenAI(**openai_options(server)) as client:
        file = ("audio.wav", wav_bytes(pcm))
        stream = client.audio.transcriptions.create(file=file, model=MODEL, stream=True)
        with pytest.raises(openai.APIError) as raised:
            deltas.extend(event.delta for event in stream if event.type == "transcript.text.delta")
    assert (raised.value.code, raised.value.type) == ("request_crashed_worker", "server_error")
    assert "".join(deltas).startswith("1 2 3 ")


def send_times(server: Server, audio: bytes = AUDIO, **options: Any) -> tuple[str, list[float], list[int]]:
    """Text, when each request was sent, and how many milliseconds later each refusal allowed the next one."""
    sent_s: list[float] = []
    waits_ms: list[int] = []

    def note_refusal(reply: Any) -> None:
        if reply.is_error:
            waits_ms.append(int(reply.headers["retry-after-ms"]))

    def note_request(_request: Any) -> None:
        sent_s.append(time.monotonic())

    hooks = {"request": [note_request], "response": [note_refusal]}
    with (
        DefaultHttpxClient(event_hooks=hooks) as http,
        OpenAI(**openai_options(server) | {"max_retries": 9, "http_client": http}) as client,
    ):
        reply = client.audio.transcriptions.create(file=("audio.wav", audio), model=MODEL, **options)
    return reply.text, sent_s, waits_ms


def assert_waited(sent_s: list[float], waits_ms: list[int]) -> None:
    assert waits_ms
    assert len(sent_s) == len(waits_ms) + 1
    for (before_s, after_s), wait_ms in zip(itertools.pairwise(sent_s), waits_ms, strict=True):
        assert wait_ms / 1000 - EARLY_S <= after_s - before_s < wait_ms / 1000 + 0.4


def test_a_full_server_is_asked_again_when_it_says(tmp_path: Path) -> None:
    with serving(tmp_path, SLOW, MAX_REQUESTS="1") as server:
        first = threading.Thread(target=create, args=(server,))
        first.start()
        server.wait_for_metric("asr_open_requests", 1)
        text, sent_s, waits_ms = send_times(server, wav(9))
        first.join()
        assert text == "9"
        assert_waited(sent_s, waits_ms)
        assert server.log.read_text().count(" 429 server_overloaded ") == len(waits_ms)


def test_a_loading_server_is_asked_again_when_it_says(tmp_path: Path) -> None:
    with serving(tmp_path, {"load_s": 1.5}, wait=False) as server:
        text, sent_s, waits_ms = send_times(server)
        assert text == "7 42"
        assert_waited(sent_s, waits_ms)
        assert server.log.read_text().count(" 503 model_loading ") == len(waits_ms)


def test_headers_of_a_raw_response(scripted: Server) -> None:
    with OpenAI(**openai_options(scripted)) as client:
        raw = client.audio.transcriptions.with_raw_response
        reply = raw.create(file=("a.wav", AUDIO), model=MODEL, extra_headers={"x-request-id": "mine-1"})
        assert reply.parse().text == "7 42"
        assert reply.headers["content-type"] == "application/json"
        assert (reply.headers["x-request-id"], reply.request_id) == ("mine-1", "mine-1")
        assert (reply.headers["x-model-id"], reply.headers["x-language"]) == ("scripted", "en")
        assert float(reply.headers["x-audio-length"]) == 2.0
        with pytest.raises(openai.NotFoundError) as raised:
            raw.create(file=("a.wav", AUDIO), model="other")
    assert raised.value.response.headers["x-should-retry"] == "false"
