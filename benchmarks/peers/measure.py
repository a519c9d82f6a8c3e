"""Interleaved rounds: in each round every engine has a turn, which is the control measurement and then the file.

What slows the machine for a while slows all engines alike. The outcome is every turn as plain data; see report.py.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.catalogue import CATALOGUE
from benchmarks.peers.control import Control
from benchmarks.peers.machine_lock import MachineLock
from benchmarks.peers.worker_process import WorkerExited, WorkerProcess


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
    """One engine: its peak memory during the warm-up with the whole file, and one turn per round."""

    peak_bytes: int
    turns: list[Turn]


@dataclass(frozen=True, slots=True)
class Outcome:
    """failures: why an engine has no series, in one sentence"""

    series: dict[str, Series]
    failures: dict[str, str]

    def fail(self, name: str, error: Exception) -> None:
        self.series.pop(name, None)
        self.failures[name] = " ".join(str(error).split()) or type(error).__name__
        log(f"{name}: {self.failures[name]}")


def measure(plan: Plan, checkpoint: Path, cache: Path) -> Outcome:
    outcome = Outcome({}, {})
    workers = {}
    control = Control()
    with ExitStack() as stack:
        lock = stack.enter_context(closing(MachineLock(plan.lock)))
        for name in plan.engines:
            lock.acquire()
            log(f"{name}: loading")
            try:
                model = CATALOGUE[name].convert(checkpoint, cache)
                worker = stack.enter_context(closing(WorkerProcess(name, model, plan.num_threads)))
                outcome.series[name] = Series(worker.measure_memory(plan.recording), [])
                workers[name] = worker
            except Exception as error:  # noqa: BLE001 – an engine that cannot be measured becomes a row of the table
                outcome.fail(name, error)
        for index in range(plan.num_rounds):
            for name in tuple(outcome.series):
                lock.acquire()
                try:
                    turn = take_turn(control, workers[name], plan.recording)
                except WorkerExited as error:
                    outcome.fail(name, error)
                    continue
                outcome.series[name].turns.append(turn)
                log(f"round {index + 1}, {name}: {turn.seconds:.2f} s, control {turn.control_gflops:.0f} GFLOP/s")
    return outcome


def take_turn(control: Control, worker: WorkerProcess, recording: Path) -> Turn:
    gflops = control.gflops()
    run = worker.transcribe(recording)
    return Turn(gflops, run.seconds, run.counts.num_windows, run.counts.num_tokens)


def log(line: str) -> None:
    sys.stderr.write(f"{line}\n")
