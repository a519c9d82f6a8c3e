"""Thousands of damaged media files through `POST /asr`: a transcript or an error of the request, and soon.

`PYTEST_SEED`, `PYTEST_FIRST` and `PYTEST_MUTATIONS` choose others: the message of a failure says which.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.attack.mutations import mutation, originals
from tests.attack.watched_server import watching
from tests.server.running import Server

# Read before the environment is cleaned for each test.
SEED = int(os.environ.get("PYTEST_SEED", "1"))
FIRST = int(os.environ.get("PYTEST_FIRST", "0"))
NUM_MUTATIONS = int(os.environ.get("PYTEST_MUTATIONS", "5000"))
NUM_CLIENTS = 6
MAX_REPLY_S = 20.0
CLIENT_ERRORS = {
    "audio_too_long", "audio_too_short", "empty_audio", "empty_body", "invalid_audio", "invalid_json", "missing_url",
    "no_audio_stream", "unsupported_format",
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    number: int
    result: str  # "transcript", the code of an error, or what else happened
    elapsed_s: float


def transcribe(server: Server, number: int) -> Outcome:
    _, data = mutation(SEED, number)
    started_s = time.perf_counter()
    try:
        with httpx.Client(trust_env=False, verify=False, timeout=4 * MAX_REPLY_S) as http:
            reply = http.post(f"http://127.0.0.1:{server.port}/asr", content=data)
        result = "transcript" if reply.status_code == 200 else str(reply.json()["code"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        result = repr(error)
    return Outcome(number, result, time.perf_counter() - started_s)


def saved(folder: Path, outcome: Outcome) -> str:
    """A line that says how to make the file again, and where it is."""
    name, data = mutation(SEED, outcome.number)
    (path := folder / f"mutation-{SEED}-{outcome.number}").write_bytes(data)
    again = f"PYTEST_SEED={SEED} PYTEST_FIRST={outcome.number} PYTEST_MUTATIONS=1 scripts/test -m attack -k mutation"
    return f"{outcome.result} after {outcome.elapsed_s:.1f} s; {name}; saved as {path}; again: {again}"


@pytest.mark.attack
def test_a_mutation_is_transcribed_or_refused(tmp_path: Path) -> None:
    started_s = time.perf_counter()
    with (
        watching(tmp_path, {"has_marks": False}, MAX_AUDIO_S="60", MAX_REQUESTS="64") as watched,
        ThreadPoolExecutor(NUM_CLIENTS) as pool,
    ):
        numbers = range(FIRST, FIRST + NUM_MUTATIONS)
        outcomes = list(pool.map(lambda number: transcribe(watched.server, number), numbers))
        watched.check_unharmed()
        log = watched.server.log.read_text()
        restarts = watched.server.metric("asr_engine_restarts_total")
    print(report(outcomes, log), f"{time.perf_counter() - started_s:.0f} s in all")
    usual = CLIENT_ERRORS | {"transcript"}
    bad = [saved(tmp_path, each) for each in outcomes if each.result not in usual or each.elapsed_s > MAX_REPLY_S]
    assert not bad, "\n".join(bad)
    assert restarts == 0


def report(outcomes: list[Outcome], log: str) -> str:
    codes = Counter(outcome.result for outcome in outcomes)
    slowest_s = max(outcome.elapsed_s for outcome in outcomes)
    counted = ", ".join(f"{count:,} × {code}" for code, count in codes.most_common())
    warnings = sum(" WARNING " in line for line in log.splitlines())
    sent = f"{len(outcomes):,} mutations of {len(originals())} files"
    return f"{sent}: {counted}; slowest {slowest_s:.1f} s; {warnings} warnings;"


def test_a_mutation_is_determined_by_its_seed_and_number() -> None:
    assert mutation(1, 7) == mutation(1, 7)
    assert len({mutation(1, number)[1] for number in range(50)}) > 40
