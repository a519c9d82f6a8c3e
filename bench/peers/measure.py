"""Rounds: before each engine's turn the control, then the file; round after round, so that what slows the machine for a
while slows everybody. What comes out is every turn, in plain data; report.py makes sense of it.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench.peers.catalogue import CATALOGUE
from bench.peers.control import control_gflops
from bench.peers.workers import Worker


@dataclass(frozen=True, slots=True)
class Plan:
    """lock: a file that is locked (flock) for each turn, so that other work on the machine can keep away from it"""

    engines: tuple[str, ...]
    recording: Path
    num_rounds: int
    num_threads: int
    lock: Path | None


@dataclass(frozen=True, slots=True)
class Turn:
    control_gflops: float
    seconds: float
    num_windows: int
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Series:
    """One engine: its peak memory while it warmed up on the whole file, and a turn for each round."""

    peak_bytes: int
    turns: list[Turn]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`failures` says in a sentence why an engine has no series."""

    series: dict[str, Series]
    failures: dict[str, str]


def measure(plan: Plan, checkpoint: Path, cache: Path) -> Outcome:
    outcome = Outcome({}, {})
    with ExitStack() as stack:
        workers = {}
        for name in plan.engines:
            say(f"{name}: opening")
            try:
                with alone(plan.lock):
                    model = CATALOGUE[name].convert(checkpoint, cache)
                with alone(plan.lock):
                    worker = Worker(name, model, plan.num_threads)
                    stack.callback(worker.close)
                    _, peak_bytes = worker.weigh(plan.recording)
            except Exception as error:  # noqa: BLE001 – an engine that cannot be measured is a row of the table
                outcome.failures[name] = " ".join(str(error).split()) or type(error).__name__
                say(f"{name}: {outcome.failures[name]}")
                continue
            workers[name] = worker
            outcome.series[name] = Series(peak_bytes, [])
        for index in range(plan.num_rounds):
            for name, worker in workers.items():
                with alone(plan.lock):
                    turn = take_turn(worker, plan.recording)
                outcome.series[name].turns.append(turn)
                say(f"round {index + 1}, {name}: {turn.seconds:.2f} s, control {turn.control_gflops:.0f} GFLOP/s")
    return outcome


def take_turn(worker: Worker, recording: Path) -> Turn:
    gflops = control_gflops()
    run = worker.transcribe(recording)
    return Turn(gflops, run.seconds, run.heard.num_windows, run.heard.num_tokens)


@contextmanager
def alone(lock: Path | None) -> Iterator[None]:
    with lock.open("a") if lock else nullcontext() as file:
        if file:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
