"""The server under test: started here with settings for chaos, on a small disk for spools where one can be mounted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.server.process import started_server

SPOOL_MIB = 384
PROGRAM = ("-m", "asr_api")
SETTINGS = {
    "ALLOW_PRIVATE_CIDRS": "127.0.0.0/8",
    "ALLOWED_LOCAL_MEDIA_PATH": "",
    "MAX_REQUESTS": "20",
    "RESULT_CACHE_S": "2",  # so that requests join, and few are answered from memory
}


@dataclass(frozen=True, slots=True)
class OwnServer:
    """pid: None for a server that somebody else started, whose processes are left alone; is_small_disk: of spools"""

    port: int
    pid: int | None
    folder: Path
    is_small_disk: bool = False

    @property
    def spool_folder(self) -> Path:
        return self.folder / "spool"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"


@contextmanager
def own_server(
    settings: Mapping[str, str] | None = None,
    *,
    program: Sequence[str] = PROGRAM,
    cores: set[int] | None = None,
    has_small_disk: bool = False,
) -> Iterator[OwnServer]:
    """cores: of the server and its processes; None is all"""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="asr-api-chaos-")))
        spool_folder = folder / "spool"
        spool_folder.mkdir()
        is_small_disk = has_small_disk and stack.enter_context(mounted_tmpfs(spool_folder))
        log = stack.enter_context((folder / "server.log").open("wb"))
        with on_cores(cores):
            variables = {**SETTINGS, **(settings or {}), "TMPDIR": str(spool_folder)}
            url, pid = stack.enter_context(started_server(variables, program, log))
        yield OwnServer(port_of(url), pid, folder, is_small_disk)


def port_of(url: str) -> int:
    parts = urlsplit(url)
    if parts.hostname not in {"127.0.0.1", "localhost"} or parts.port is None:
        sys.exit(f"{url} is not on this machine; the load stays on loopback: name http://127.0.0.1:PORT.")
    return parts.port


@contextmanager
def on_cores(cores: set[int] | None) -> Iterator[None]:
    """This process, and for good what it starts in the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def mounted_tmpfs(folder: Path) -> Iterator[bool]:
    """Whether it could be mounted, which takes root."""
    line = ["mount", "-t", "tmpfs", "-o", f"size={SPOOL_MIB}m", "asr-api-chaos", str(folder)]
    try:
        is_mounted = subprocess.run(line, capture_output=True, check=False).returncode == 0  # noqa: S603 – a fixed program
    except FileNotFoundError:
        is_mounted = False
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607 – a fixed program
