"""Audio that breaks the engine fails alone, with its status and code; what is sent beside it is transcribed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from asr_api.benchmark.speech import wav_bytes
from tests.attack.watched_server import Request, WatchedServer, error_code, upload, watching
from tests.engines.scripted import CRASH, FAIL, FAIL_EARLY, number_pcm
from tests.server.running import wav

NUM_GOOD = 4
PATIENCE_S = 20
OPENAI = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    script = {"n_slots": 2, "step_s": 0.02, "steps_per_window": 5}
    with watching(tmp_path_factory.mktemp("server"), script) as server:
        yield server


@pytest.mark.parametrize("path", ["/asr", OPENAI])
@pytest.mark.parametrize("mark", [CRASH, FAIL, FAIL_EARLY])
def test_audio_that_breaks_the_engine_fails_alone(watched: WatchedServer, mark: int, path: str) -> None:
    content = [1, 2] if path == OPENAI else [3]  # each crashes the engine for the first time
    audio = wav_bytes(number_pcm(content, mark=mark))
    poison = upload(audio) if path == OPENAI else Request("/asr", audio)
    patient_text(watched, 9)  # the engine is ready again
    with ThreadPoolExecutor(NUM_GOOD + 1) as pool:
        reply = pool.submit(watched.send, poison)
        texts = list(pool.map(partial(patient_text, watched), range(1, NUM_GOOD + 1)))
    assert texts == [f" {number} 7" for number in range(1, NUM_GOOD + 1)]
    assert (reply.result().status, error_code(path, reply.result())) == (500, "request_crashed_worker")
    assert watched.server.process.poll() is None


def patient_text(watched: WatchedServer, number: int) -> str:
    """Sends it again while the engine restarts, as the reply says."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (reply := watched.server.transcribe(wav(number, 7))).status_code == 503:
        assert reply.json()["code"] == "engine_restarting"
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    return str(reply.json()["text"])
