"""Starts the process that makes the load, and gives the records of its requests when it has ended."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.ledger import read_ledger
from benchmarks.chaos.load_options import LoadOptions
from benchmarks.chaos.outcomes import Expected, Record
from benchmarks.chaos.own_server import on_cores
from benchmarks.chaos.recordings import HOUR

EXIT_S = 120.0  # beyond the patience of the last client


@dataclass(slots=True)
class RunningLoad:
    """is_over: set when the process has ended"""

    process: subprocess.Popen[bytes]
    ledger: Path
    is_over: threading.Event
    records: tuple[Record, ...] = ()


@contextmanager
def running_load(
    options: LoadOptions, expected: Mapping[str, Expected], name: str, cores: set[int] | None = None
) -> Iterator[RunningLoad]:
    """Leaving it waits for the end of the load and reads its records. name: of its files in the folder"""
    folder = Path(options.folder)
    path, ledger = folder / f"{name}.options.json", folder / f"{name}.ledger"
    options.write(path)
    line = [sys.executable, "-m", "benchmarks.chaos.load", str(path), str(ledger)]
    with on_cores(cores):
        process = subprocess.Popen(  # noqa: S603 – our own program
            line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
    load = RunningLoad(process, ledger, threading.Event())

    def watch() -> None:
        process.wait()
        load.is_over.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield load
        if not load.is_over.wait(options.duration_s + options.patience_s(HOUR) + EXIT_S):
            process.kill()  # requests without an answer are then lost
            load.is_over.wait()
        load.records = tuple(read_ledger(ledger, expected))
    finally:
        if not load.is_over.is_set():
            process.kill()
            process.wait()


def run_load(
    options: LoadOptions, expected: Mapping[str, Expected], name: str, cores: set[int] | None = None
) -> tuple[Record, ...]:
    with running_load(options, expected, name, cores) as load:
        pass
    return load.records
