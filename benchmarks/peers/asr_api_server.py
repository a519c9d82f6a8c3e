"""Our server as its users meet it: started with a checkpoint's folder, asked over HTTP for a file on the same machine.

All settings are the defaults, but for the model, the port and the type of its arithmetic.
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

from benchmarks.peers.peer import Heard, Opened

HOST = "127.0.0.1"
NUM_MARKS = 2  # timestamps of a window, which it counts as tokens


@dataclass(frozen=True, slots=True)
class AsrApi:
    compute_type: str
    package: str = "asr-api"

    def convert(self, checkpoint: Path, cache: Path) -> Path:  # noqa: ARG002 – it opens the checkpoint itself
        return checkpoint

    def open(self, model: Path, num_threads: int) -> Opened:  # noqa: ARG002 – it sees how many cores it may use
        with create_server((HOST, 0)) as probe:
            port = probe.getsockname()[1]
        settings = {"HOST": HOST, "PORT": str(port), "MODEL_ID": str(model), "COMPUTE_TYPE": self.compute_type}
        command = [sys.executable, "-m", "asr_api", "serve"]
        server = subprocess.Popen(command, env=os.environ | settings)  # noqa: S603 – our own program
        atexit.register(server.terminate)
        client = Client(port)
        while not client.is_ready():
            if server.poll() is not None:
                raise ChildProcessError(f"the server ended with {server.returncode} before it was ready")
            time.sleep(0.2)

        def transcribe(path: Path) -> Heard:
            before = client.count()
            client.ask("POST", "/asr?language=en", json.dumps({"url": str(path)}))
            after = client.count()
            num_windows = after.num_windows - before.num_windows
            return Heard(num_windows, after.num_tokens - before.num_tokens)

        return Opened(server.pid, transcribe)


@dataclass(frozen=True, slots=True)
class Client:
    port: int

    def ask(self, method: str, address: str, body: str | None = None) -> str:
        connection = HTTPConnection(HOST, self.port)
        connection.request(method, address, body, {"Content-Type": "application/json"} if body else {})
        reply = connection.getresponse()
        text = reply.read().decode()
        if reply.status != 200:
            raise RuntimeError(f"{address} was answered {reply.status}: {text}")
        return text

    def is_ready(self) -> bool:
        try:
            self.ask("GET", "/hc")
        except (ConnectionError, RuntimeError):
            return False
        return True

    def count(self) -> Heard:
        """All windows and tokens since the start."""
        metrics = self.ask("GET", "/metrics")

        def total(name: str) -> int:
            found = re.search(rf"^{name}_total (\S+)$", metrics, re.MULTILINE)
            return int(float(found[1])) if found else 0

        num_windows = total("asr_windows")
        return Heard(num_windows, total("asr_tokens") - NUM_MARKS * num_windows)
