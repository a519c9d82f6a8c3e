"""The process that makes the load, with locust: `python -m benchmarks.chaos.load OPTIONS LEDGER`.

A process of its own, because importing locust replaces blocking calls of the whole process by those of gevent.
"""

# ruff: noqa: I001 – locust has to be imported first

from __future__ import annotations

from locust import User, constant, task
from locust.env import Environment

import itertools
import signal
import sys
import time
from pathlib import Path
from random import Random

import gevent

from benchmarks.chaos.client import Answer, send
from benchmarks.chaos.http_requests import http_request
from benchmarks.chaos.ledger import Ledger
from benchmarks.chaos.load_options import LoadOptions, read_load_options
from benchmarks.chaos.planned_requests import Mix, PlannedRequest, plan_request
from benchmarks.chaos.recordings import HOUR, TEN_MINUTES, Recording, clip_names, read_recordings, sample_names

MAX_RETRY_S = 5.0
SPAWN_PER_S = 100.0


class Load:
    """What all clients share: the options, the recordings, the numbers of requests and the ledger."""

    def __init__(self, options: LoadOptions, recordings: dict[str, Recording], ledger: Ledger) -> None:
        self.options = options
        self._recordings = recordings
        self._ledger = ledger
        self._numbers = itertools.count()
        self._starts = Random(options.seed)  # noqa: S311 – it has to be repeatable
        self.end_s = time.monotonic() + options.duration_s
        self.is_over = False

    def end(self) -> None:
        """No request begins any more."""
        self.is_over = True

    def first_wait_s(self) -> float:
        """Of the next client: those with a pace begin at random within it."""
        return self._starts.uniform(0.0, self.options.pacing_s)

    def next_request(self) -> PlannedRequest | None:
        """None after the last one."""
        if self.is_over or time.monotonic() >= self.end_s:
            return None
        number = next(self._numbers)
        self.is_over = number + 1 >= self.options.max_requests
        return plan_request(self.options.seed, number, self.options.mix)

    def send(self, planned: PlannedRequest) -> Answer:
        options = self.options
        request = http_request(planned, self._recordings, options.media_url)
        self._ledger.begin(planned)
        answer = send(options.port, request, planned.manner, options.patience_s(planned.content))
        self._ledger.end(planned, answer)
        return answer


class Client(User):
    abstract = True
    load: Load

    def on_start(self) -> None:
        self._next_s = time.monotonic() + self.load.first_wait_s()

    @task
    def send_next(self) -> None:
        gevent.sleep(max(0.0, self._next_s - time.monotonic()))  # with locust's pacing all clients would begin at once
        self._next_s = max(self._next_s, time.monotonic()) + self.load.options.pacing_s
        planned = self.load.next_request()
        if planned is None:
            return
        started_s = time.perf_counter()
        answer = self.load.send(planned)
        self.environment.events.request.fire(
            request_type=planned.route.value,
            name=planned.manner.value,
            response_time=(time.perf_counter() - started_s) * 1000,
            response_length=len(answer.text),
            exception=None,
            context={},
        )
        if answer.retry_after_s is not None and not self.load.options.pacing_s:
            gevent.sleep(min(MAX_RETRY_S, answer.retry_after_s))


def main() -> int:
    options = read_load_options(Path(sys.argv[1]))
    names = clip_names() if options.mix is Mix.CLIPS else [*clip_names(), *sample_names(), TEN_MINUTES, HOUR]
    recordings = read_recordings(Path(options.folder), names)
    with Path(sys.argv[2]).open("w", encoding="utf-8") as file:
        load = Load(options, recordings, Ledger(file))
        kind = type("PlannedClient", (Client,), {"load": load, "wait_time": constant(0.0)})
        environment = Environment(user_classes=[kind], stop_timeout=options.patience_s(HOUR) + 60)
        runner = environment.create_local_runner()
        gevent.signal_handler(signal.SIGTERM, load.end)
        runner.start(options.num_clients, spawn_rate=SPAWN_PER_S)
        while not load.is_over:
            gevent.sleep(0.1)
            if time.monotonic() >= load.end_s:
                load.end()
        runner.stop()  # waits until each client has its answer
    return 0


if __name__ == "__main__":
    sys.exit(main())
