"""The other end of worker.py: starts one engine's process, gives it files, and says what each took and what went wrong.

The processes share nothing; the one that is asked is the only one that works.
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

from asr_api.benchmark.machine import PeakMemory
from benchmarks.peers.peer import Heard

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerDied(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    heard: Heard


class Worker:
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
        self._questions = cast("TextIO", self._process.stdin)
        self._answers = cast("TextIO", self._process.stdout)
        try:
            self._root = int(self._reply())
        except WorkerDied:
            self.close()
            raise

    def transcribe(self, path: Path) -> Run:
        self._ask(path)
        return parsed(self._reply())

    def weigh(self, path: Path) -> int:
        """Transcribe, and say the most bytes that its processes had at once."""
        self._ask(path)
        with PeakMemory(self._root) as memory:
            self._reply()
        return memory.peak_bytes or 0

    def close(self) -> None:
        with self._log, self._process:  # its pipes are closed, and it ends
            pass

    def _ask(self, path: Path) -> None:
        self._questions.write(f"{path}\n")
        self._questions.flush()

    def _reply(self) -> str:
        line = self._answers.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            raise WorkerDied(lines[-1] if lines else f"ended with {self._process.returncode}")
        return line


def parsed(line: str) -> Run:
    seconds, num_windows, num_tokens = json.loads(line)
    return Run(seconds, Heard(num_windows, num_tokens))
