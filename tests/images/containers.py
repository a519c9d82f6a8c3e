"""Runs an image by podman as a careful operator would, without a network, and sends it requests on its loopback.

The images are those of `scripts/images-test`; IMAGES is their name, read when the tests are collected.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = os.environ.get("IMAGES", "")
CONFINED = (
    *("--read-only", "--tmpfs", "/tmp:rw,size=256m", "--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--memory", "1g", "--network", "none"),
)
# Where podman may not raise limits, and where no systemd runs its timers.
MACHINE = ("--ulimit", "nofile=16384:16384", "--ulimit", "nproc=4096:4096", "--no-healthcheck")
START_S = 60


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Container:
    """pid: of its first process; started_s: when podman was called, on the monotonic clock"""

    name: str
    pid: int
    started_s: float
    port: int

    def curl(self, path: str, *arguments: str) -> subprocess.Popen[str]:
        command = ["nsenter", "--target", str(self.pid), "--net", "curl", "-s", "-w", "\n%{http_code}", *arguments]
        address = f"http://127.0.0.1:{self.port}{path}"
        return subprocess.Popen([*command, address], text=True, stdout=subprocess.PIPE)

    def get(self, path: str) -> Reply:
        return reply_of(self.curl(path))

    def post(self, path: str, audio: Path) -> Reply:
        return reply_of(self.curl(path, "--data-binary", f"@{audio}"))

    def wait_until_ready(self) -> float:
        """Seconds from the start of the container."""
        while (now := time.monotonic()) < self.started_s + START_S:
            if self.get("/hc").status == 200:
                return now - self.started_s
            time.sleep(0.05)
        raise AssertionError(self.log())

    def log(self) -> str:
        return podman("logs", self.name, stderr=subprocess.STDOUT)

    def run(self, *command: str) -> str:
        return podman("exec", self.name, *command)

    def terminate(self) -> None:
        podman("kill", "--signal", "TERM", self.name)

    def exit_status(self) -> int:
        return int(podman("wait", self.name))


def reply_of(curl: subprocess.Popen[str]) -> Reply:
    """Waits for its end. Status 0: there was no answer."""
    text, _ = curl.communicate(timeout=120)
    body, _, status = text.rpartition("\n")
    return Reply(int(status), body)


def podman(*arguments: str, stderr: int | None = None) -> str:
    command = [shutil.which("podman") or "podman", "--runtime", "runc", *arguments]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=stderr).stdout


def image_size(tag: str) -> int:
    return int(podman("image", "inspect", f"{NAME}:{tag}", "--format", "{{.Size}}"))


def image_config(tag: str) -> Any:
    """As Docker has it; podman's own shape leaves the health check out."""
    command = ["buildah", "inspect", "--type", "image", f"{NAME}:{tag}"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["Docker"]["config"]


def run_once(tag: str, *command: str, entrypoint: str) -> str:
    """The output of another program of the image."""
    return podman("run", "--rm", *MACHINE, *CONFINED, "--entrypoint", entrypoint, f"{NAME}:{tag}", *command)


@contextmanager
def running(
    tag: str, *options: str, settings: Mapping[str, str] | None = None, confined: Sequence[str] = CONFINED
) -> Iterator[Container]:
    name, started_s, settings = f"asr-api-test-{uuid.uuid4().hex[:8]}", time.monotonic(), settings or {}
    variables = [f"--env={key}={value}" for key, value in settings.items()]
    podman("run", "--detach", "--name", name, *MACHINE, *confined, *options, *variables, f"{NAME}:{tag}")
    try:
        pid = int(podman("inspect", name, "--format", "{{.State.Pid}}"))
        yield Container(name, pid, started_s, int(settings.get("PORT", "8000")))
    finally:
        podman("rm", "--force", "--time", "0", name)
