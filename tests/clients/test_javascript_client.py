"""OpenAI's JavaScript client gets what it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.clients.node import run_node
from tests.server.running import Server, wav

pytestmark = pytest.mark.clients

NUMBERS = range(1, 60)
TEXT = " ".join(map(str, NUMBERS))


@pytest.fixture(scope="module")
def replies(scripted: Server, node_folder: Path) -> dict[str, Any]:
    audio = node_folder / "audio.wav"
    audio.write_bytes(wav(*NUMBERS))
    replies: dict[str, Any] = run_node(
        node_folder, "openai_client.mjs", f"http://127.0.0.1:{scripted.port}/v1", str(audio)
    )
    return replies


def test_each_format(replies: dict[str, Any]) -> None:
    assert replies["json"]["text"] == TEXT
    assert replies["json"]["usage"] == {"type": "duration", "seconds": len(NUMBERS)}
    assert replies["text"] == TEXT + "\n"
    assert replies["srt"].startswith("1\n00:00:00,000 --> ")
    assert replies["vtt"].startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert replies["translation"] == {"text": " ".join(f"{number}e" for number in NUMBERS)}


@pytest.mark.parametrize(
    ("name", "parts"), [("segments", {"segments"}), ("words", {"words"}), ("both", {"segments", "words"})]
)
def test_granularities(replies: dict[str, Any], name: str, parts: set[str]) -> None:
    reply = replies[name]
    assert reply["text"] == TEXT
    assert reply.keys() & {"segments", "words"} == parts
    assert [len(reply[part]) for part in parts] == [len(NUMBERS)] * len(parts)


def test_arrays_and_objects_are_understood(replies: dict[str, Any]) -> None:
    assert (replies["options"]["text"], replies["options"]["languages"]) == (TEXT, [{"code": "de"}])


def test_a_stream_has_the_deltas_in_order_and_then_the_text(replies: dict[str, Any]) -> None:
    *deltas, done = replies["events"]
    assert len(deltas) > 1
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    assert "".join(event["delta"] for event in deltas) == done["text"] == TEXT


def test_logprobs(replies: dict[str, Any]) -> None:
    *deltas, done = replies["logprobEvents"]
    whole = replies["logprobs"]["logprobs"]
    assert "".join(piece["token"] for piece in whole).strip() == TEXT
    assert [piece for event in deltas for piece in event["logprobs"]] == whole == done["logprobs"]


@pytest.mark.parametrize(
    ("name", "kind", "status", "code", "param"),
    [
        ("unknownModel", "NotFoundError", 404, "model_not_found", "model"),
        ("badTemperature", "BadRequestError", 400, "invalid_parameter", "temperature"),
        ("streamedSubtitles", "BadRequestError", 400, "invalid_parameter", "stream"),
    ],
)
def test_errors(replies: dict[str, Any], name: str, kind: str, status: int, code: str, param: str) -> None:
    error = replies[name]
    assert error.pop("requestID")
    assert error == {"name": kind, "status": status, "code": code, "param": param}


def test_models(replies: dict[str, Any]) -> None:
    assert {"whisper-1", "openai/whisper-large-v3"} <= set(replies["models"])
