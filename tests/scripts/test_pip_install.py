"""Progress of an installation: one line that changes on a terminal, a line for each stage elsewhere."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.scripts.checkout import Checkout, make_checkout

# As pip 23 to 26 write it for a terminal, shortened.
OUTPUT = (
    b"Collecting numpy>=2.1\n  Downloading numpy-2.4.6-cp311-cp311-manylinux.whl.metadata (62 kB)\n"
    b"Collecting torch==2.13\n  Using cached six-1.17.0-py2.py3-none-any.whl (11 kB)\n"
    b"  Downloading numpy-2.4.6-cp311-cp311-manylinux.whl (6.5 MB)\n"
    b"\x1b[?25l   \x1b[90m---\x1b[0m \x1b[32m0.0/6.5 MB\x1b[0m \x1b[31m?\x1b[0m eta -:--:--\r"
    b"\x1b[2K   \x1b[90m---\x1b[0m \x1b[32m3.2/6.5 MB\x1b[0m \x1b[31m9 MB/s\x1b[0m eta 0:00:01\n"
    b"  Downloading https://host.test/a/torch-2.13.0-cp311.whl (860.1 MB)\n"
    b"Installing collected packages: numpy, torch\n\x1b[2K   --- 1/2 [numpy]\r\n"
    b"Successfully installed numpy-2.4.6 torch-2.13.0\n"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "output").write_bytes(OUTPUT)
    return make_checkout(tmp_path / "asr-api")


def test_stages_are_lines_without_a_terminal(checkout: Checkout) -> None:
    ended = checkout.command("scripts/setup", FAKE_PIP=str(checkout.folder.parent / "output"))
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr.splitlines() == [
        "asr-api: making .venv",
        "asr-api: installing (once; a minute or two)",
        "asr-api: finding the packages",
        "asr-api: downloading packages",
        "asr-api: downloading torch-2.13.0 (860.1 MB)",
        "asr-api: installing 2 packages",
    ]


def test_one_line_changes_on_a_terminal(checkout: Checkout) -> None:
    terminal, device = pty.openpty()
    environment = checkout.environment | {"FAKE_PIP": str(checkout.folder.parent / "output")}
    with subprocess.Popen([str(checkout.folder / "scripts/setup")], env=environment, stderr=device) as process:
        os.close(device)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := os.read(terminal, 65536):
                shown += piece
    os.close(terminal)
    assert process.returncode == 0
    made, installing, changing = shown.decode().split("\r\n")
    assert (made, installing) == ("asr-api: making .venv", "asr-api: installing (once; a minute or two)")
    assert changing.split("\r\x1b[K")[3:] == [
        "asr-api: finding the packages, 3 so far",
        "asr-api: downloading numpy-2.4.6 (6.5 MB)",
        "asr-api: downloading numpy-2.4.6 (6.5 MB), 0.0/6.5 MB ? eta -:--:--",
        "asr-api: downloading numpy-2.4.6 (6.5 MB), 3.2/6.5 MB 9 MB/s eta 0:00:01",
        "asr-api: downloading torch-2.13.0 (860.1 MB)",
        "asr-api: installing 2 packages",
        "asr-api: installing 2 packages, 1/2 [numpy]",
        "",
    ]
