"""Rounds: before each engine's turn the control, then the file; round after round, so that what slows the machine for a
while slows everybody. What comes out is every turn, in plain data; report.py makes sense of it.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.catalogue import CATALOGUE
from benchmarks.peers.control import Control
from benchmarks.peers.quiet import QuietMachine
from benchmarks.peers.workers import Worker, WorkerDied


@dataclass(frozen=True, slots=True)
class Plan:
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

    def fail(self, name: str, error: Exception) -> None:
        self.series.pop(name, None)
        self.failures[name] = " ".join(str(error).split()) or type(error).__name__
        say(f"{name}: {self.failures[name]}")


def measure(plan: Plan, checkpoint: Path, cache: Path) -> Outcome:
    outcome = Outcome({}, {})
    workers = {}
    control = Control()
    with ExitStack() as stack:
        machine = stack.enter_context(closing(QuietMachine(plan.lock)))
        for name in plan.engines:
            machine.take()
            say(f"{name}: opening")
            try:
                model = CATALOGUE[name].convert(checkpoint, cache)
                worker = stack.enter_context(closing(Worker(name, model, plan.num_threads)))
                outcome.series[name] = Series(worker.weigh(plan.recording), [])
                workers[name] = worker
            except Exception as error:  # noqa: BLE001 – an engine that cannot be measured is a row of the table
                outcome.fail(name, error)
        for index in range(plan.num_rounds):
            for name in tuple(outcome.series):
                machine.take()
                try:
                    turn = take_turn(control, workers[name], plan.recording)
                except WorkerDied as error:
                    outcome.fail(name, error)
                    continue
                outcome.series[name].turns.append(turn)
                say(f"round {index + 1}, {name}: {turn.seconds:.2f} s, control {turn.control_gflops:.0f} GFLOP/s")
    return outcome


def take_turn(control: Control, worker: Worker, recording: Path) -> Turn:
    gflops = control.gflops()
    run = worker.transcribe(recording)
    return Turn(gflops, run.seconds, run.heard.num_windows, run.heard.num_tokens)


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
