"""The calm run: each recording by each API, and each bad request, one after the other; what it answers is right."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence

from benchmarks.chaos.bad_requests import BAD_REQUESTS
from benchmarks.chaos.client import Answer, send
from benchmarks.chaos.http_requests import http_request
from benchmarks.chaos.ledger import reference_key
from benchmarks.chaos.outcomes import Expected
from benchmarks.chaos.planned_requests import Manner, PlannedRequest, Route
from benchmarks.chaos.recordings import HOUR, Recording

CALM_PATIENCE_S = 600.0
BAD_STATUSES = {400, 403, 413, 415, 422, 502}  # 502: the host of a link refuses the connection


def all_references(recordings: Sequence[str]) -> list[PlannedRequest]:
    routes = [(name, route) for name in recordings for route in (Route.ASR, Route.OPENAI)]
    routes.remove((HOUR, Route.OPENAI))  # no plan has it
    planned = [PlannedRequest(number, name, route) for number, (name, route) in enumerate(routes)]
    return [*planned, *(PlannedRequest(-1, name, Route.ASR, is_bad=True) for name in BAD_REQUESTS)]


def clip_references(clips: Sequence[str]) -> list[PlannedRequest]:
    return [PlannedRequest(number, name, Route.ASR) for number, name in enumerate(clips)]


def learn_references(
    port: int, planned: Sequence[PlannedRequest], recordings: Mapping[str, Recording]
) -> tuple[dict[str, Expected], float]:
    """By `reference_key`; and seconds for each second of the file of an hour, or else 0. Exits if an answer is odd."""
    expected: dict[str, Expected] = {}
    hour_s = 0.0
    for request in planned:
        started_s = time.monotonic()
        answer = send(port, http_request(request, recordings, ""), Manner.PLAIN, CALM_PATIENCE_S)
        if not is_sound(request, answer):
            sys.exit(f"Before the load, {request.content!r} by {request.route} got {answer}; the server is not sound.")
        expected[reference_key(request)] = Expected(answer.status, answer.code, answer.text)
        if request.content == HOUR:
            hour_s = time.monotonic() - started_s
    return expected, hour_s / 3600


def is_sound(request: PlannedRequest, answer: Answer) -> bool:
    if request.is_bad:
        return answer.status in BAD_STATUSES and bool(answer.code)
    return answer.status == 200 and bool(answer.text.strip())
