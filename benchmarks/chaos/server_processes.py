"""The processes of a server that this program started, by parentage: the engine, the fork server and its decoders."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ENGINE_MODULE = "asr_api.engine_process.worker"
FORK_SERVER_MODULE = "asr_api.audio.decoding.worker.fork_server"


@dataclass(frozen=True, slots=True)
class ServerProcesses:
    server: psutil.Process
    engine: psutil.Process | None
    fork_server: psutil.Process | None
    decoders: tuple[psutil.Process, ...]
    others: tuple[psutil.Process, ...]


def find_processes(server_pid: int) -> ServerProcesses:
    """Raises psutil.NoSuchProcess when the server itself has ended."""
    server = psutil.Process(server_pid)
    children = server.children()
    engine = _running(children, ENGINE_MODULE)
    fork_server = _running(children, FORK_SERVER_MODULE)
    decoders: list[psutil.Process] = []
    if fork_server is not None:
        with suppress(psutil.NoSuchProcess):
            decoders = sorted(fork_server.children(), key=lambda process: process.pid)
    others = tuple(child for child in children if child not in {engine, fork_server})
    return ServerProcesses(server, engine, fork_server, tuple(decoders), others)


def cpu_s(server_pid: int) -> tuple[float, float]:
    """Seconds of one core so far: of the server itself, and of its engine."""
    processes = find_processes(server_pid)
    engine = sum(processes.engine.cpu_times()[:2]) if processes.engine else 0.0
    return sum(processes.server.cpu_times()[:2]), engine


def _running(processes: list[psutil.Process], module: str) -> psutil.Process | None:
    for process in processes:
        with suppress(psutil.Error):  # it has just ended
            if any(module in argument for argument in process.cmdline()):
                return process
    return None


def unnamed_files(pid: int, folder: Path) -> list[str]:
    """Open files of a process in this folder, or deleted from it: spools, which never have a name."""
    found: list[str] = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed in the meantime
            target = str(entry.readlink())
            if target.startswith(f"{folder}/"):
                found.append(target)
    return found
