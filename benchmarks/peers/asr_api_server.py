"""asr-api as a peer: the server, started with a checkpoint folder and asked over HTTP for a file on the same machine.

All settings are defaults except the model, the port and the compute type.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from socket import create_server

from benchmarks.peers.peer import Counts, LoadedEngine

HOST = "127.0.0.1"
NUM_TIMESTAMPS = 2  # of a window, which the server counts as tokens


@dataclass(frozen=True, slots=True)
class AsrApi:
    compute_type: str
    package: str = "asr-api"

    def convert(self, checkpoint: Path, cache: Path) -> Path:  # noqa: ARG002 – it opens the checkpoint itself
        return checkpoint

    def open(self, model: Path, num_threads: int) -> LoadedEngine:  # noqa: ARG002 – it chooses by the cores that it may use
        with create_server((HOST, 0)) as probe:
            port = probe.getsockname()[1]
        settings = {"HOST": HOST, "PORT": str(port), "MODEL_ID": str(model), "COMPUTE_TYPE": self.compute_type}
        command = [sys.executable, "-m", "asr_api", "serve"]
        server = subprocess.Popen(command, env=os.environ | settings)  # noqa: S603 – our own program
        atexit.register(server.terminate)
        client = Client(port)
        while not client.is_ready():
            if server.poll() is not None:
                raise ChildProcessError(f"The server exited with {server.returncode} before it was ready.")
            time.sleep(0.2)

        def transcribe(path: Path) -> Counts:
            before = client.count()
            client.ask("POST", "/asr?language=en", json.dumps({"url": str(path)}))
            after = client.count()
            num_windows = after.num_windows - before.num_windows
            return Counts(num_windows, after.num_tokens - before.num_tokens)

        return LoadedEngine(server.pid, transcribe)


@dataclass(frozen=True, slots=True)
class Client:
    port: int

    def ask(self, method: str, address: str, body: str | None = None) -> str:
        connection = HTTPConnection(HOST, self.port)
        connection.request(method, address, body, {"Content-Type": "application/json"} if body else {})
        reply = connection.getresponse()
        text = reply.read().decode()
        if reply.status != 200:
            raise RuntimeError(f"{method} {address} failed with {reply.status}: {text}")
        return text

    def is_ready(self) -> bool:
        try:
            self.ask("GET", "/hc")
        except (ConnectionError, RuntimeError):
            return False
        return True

    def count(self) -> Counts:
        """All windows and tokens since the start."""
        metrics = self.ask("GET", "/metrics")

        def total(name: str) -> int:
            values = re.findall(rf"^{name}_total(?:\{{.*\}})? (\S+)$", metrics, re.MULTILINE)
            return round(sum(map(float, values)))

        num_windows = total("asr_windows")
        return Counts(num_windows, total("asr_tokens") - NUM_TIMESTAMPS * num_windows)
