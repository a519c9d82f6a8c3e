"""`WorkerProcess`: starts worker.py with one engine, sends it files, and returns their times or the reason of its exit.

Only the process that was sent a file works; the others are blocked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from asr_api.benchmark.machine import peak_memory
from benchmarks.peers.peer import Counts

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerExited(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    counts: Counts


class WorkerProcess:
    def __init__(self, name: str, model: Path, num_threads: int) -> None:
        command = [sys.executable, "-m", "benchmarks.peers.worker", name, str(model), str(num_threads)]
        settings = dict.fromkeys(THREAD_VARIABLES, str(num_threads))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 – closed with the process
        self._process = subprocess.Popen(  # noqa: S603 – our own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | settings,
            text=True,
            encoding="utf-8",
        )
        self._requests = cast("TextIO", self._process.stdin)
        self._replies = cast("TextIO", self._process.stdout)
        try:
            self._process_id = int(self._reply())
        except WorkerExited:
            self.close()
            raise

    def transcribe(self, path: Path) -> Run:
        self._send(path)
        return parsed(self._reply())

    def measure_memory(self, path: Path) -> int:
        """Peak memory of its processes while it transcribes the file."""
        self._send(path)
        with peak_memory(self._process_id) as peak_bytes:
            self._reply()
        return peak_bytes()

    def close(self) -> None:
        with self._log, self._process:  # closing its pipes ends it
            pass

    def _send(self, path: Path) -> None:
        self._requests.write(f"{path}\n")
        self._requests.flush()

    def _reply(self) -> str:
        line = self._replies.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            raise WorkerExited(lines[-1] if lines else f"The worker exited with {self._process.returncode}.")
        return line


def parsed(line: str) -> Run:
    seconds, num_windows, num_tokens = json.loads(line)
    return Run(seconds, Counts(num_windows, num_tokens))
