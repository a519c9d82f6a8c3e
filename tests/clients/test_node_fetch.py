"""Node's fetch drops a connection on which nothing comes for a while; a long transcription reaches it all the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.clients.node import run_node
from tests.server.running import Server, serving, wav

TIMEOUT_MS = 1500
SLOW: dict[str, object] = {"step_s": 0.1, "steps_per_window": 45}
WORK_S = 4.5
SIX_MINUTES: dict[str, object] = {"step_s": 1.0, "steps_per_window": 360}
HEARTBEAT_S = 0.3


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("slow"), SLOW | {"heartbeat_s": HEARTBEAT_S}) as server:
        yield server


def fetch(server: Server, folder: Path, timeout_ms: int, *fields: str, limit_s: float = 60) -> dict[str, Any]:
    audio = folder / "audio.wav"
    audio.write_bytes(wav(7, 42))
    url = f"http://127.0.0.1:{server.port}/v1/audio/transcriptions"
    reply: dict[str, Any] = run_node(
        folder, "slow_fetch.mjs", url, str(audio), str(timeout_ms), *fields, timeout_s=limit_s
    )
    return reply


def assert_json(reply: dict[str, Any]) -> None:
    assert reply["status"] == 200
    assert reply["body"].startswith("   ")  # the heartbeats
    assert json.loads(reply["body"])["text"] == "7 42"


def assert_events(reply: dict[str, Any]) -> None:
    assert reply["status"] == 200
    assert reply["body"].startswith(": heartbeat\n\n: heartbeat\n\n")
    assert '"type": "transcript.text.done", "text": "7 42"' in reply["body"]
    assert reply["body"].endswith("data: [DONE]\n\n")


@pytest.mark.clients
@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
def test_blanks_keep_json_alive(slow: Server, node_folder: Path, response_format: str) -> None:
    reply = fetch(slow, node_folder, TIMEOUT_MS, f"response_format={response_format}")
    assert_json(reply)
    assert reply["seconds"] > WORK_S


@pytest.mark.clients
def test_comments_keep_a_stream_alive(slow: Server, node_folder: Path) -> None:
    reply = fetch(slow, node_folder, TIMEOUT_MS, "stream=true")
    assert_events(reply)
    assert reply["seconds"] > WORK_S


@pytest.mark.clients
def test_without_heartbeats_the_client_gives_up(tmp_path: Path, node_folder: Path) -> None:
    with serving(tmp_path, SLOW | {"heartbeat_s": 60}) as server:
        reply = fetch(server, node_folder, TIMEOUT_MS)
    assert reply["error"] == "UND_ERR_HEADERS_TIMEOUT"
    assert reply["seconds"] < WORK_S


@pytest.mark.soak
def test_a_transcription_of_six_minutes_reaches_a_client_that_waits_for_five(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("needs Node.js")
    with serving(tmp_path, SIX_MINUTES) as server, ThreadPoolExecutor() as pool:
        forms = [(), ("stream=true",)]
        running = [pool.submit(fetch, server, tmp_path, 0, *fields, limit_s=420) for fields in forms]
        as_json, as_events = (each.result() for each in running)
    assert_json(as_json)
    assert_events(as_events)
    assert min(as_json["seconds"], as_events["seconds"]) > 360
