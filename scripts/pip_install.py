"""Runs `pip install` and shows its progress: on a terminal one line that changes, elsewhere one line for each stage.

pip's own lines are shown if it fails. It is ended when the registry cannot be reached, instead of trying for minutes.
Usage: .venv/bin/python -I scripts/pip_install.py ARGUMENT…
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from typing import IO

INTERRUPTED = 130
UNREACHABLE = 4
MAX_BROKEN = 3  # connections in a row
MAX_ERROR_LINES = 30
BLOCK_BYTES = 4096
CLEAR_LINE = "\r\x1b[K"
CONTROL_CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BAR = re.compile(r"\d[\d.]*/\d[\d.]* (?:[kMG]?B|\[).*")  # 18.2/27.8 MB 41.0 MB/s eta 0:00:01, or 12/34 [numpy]
DOWNLOAD = re.compile(r"\s*Downloading (?:\S*/)?(\S+?-[^-\s]+)(?:-\S+)?\.(?:whl|tar\.gz|zip) \((\S+ \S+)\)")
COLLECTED = re.compile(r"\s*(?:Collecting|Processing|Obtaining|Requirement already satisfied:|Using cached) ")
BROKEN = re.compile(r".*after connection broken by .*?\s*([^:'\"\]\s][^:'\"\]]*?)['\")]*: /")
INSTALLATION = re.compile(r"Installing collected packages: (.*)")
LARGE = re.compile(r"\d\d+\.?\d* MB|.* GB")  # has a line of its own where there is no terminal


class Progress:
    """Turns pip's lines into one line about the stage, on stderr."""

    def __init__(self, *, is_terminal: bool) -> None:
        self.details = deque[str](maxlen=MAX_ERROR_LINES)  # pip's lines that are no progress
        self._is_terminal = is_terminal
        self._detail = ""
        self._shown = set[str]()
        self._num_found = 0
        self._num_broken = 0
        self.broken = ""  # why the registry cannot be reached

    @property
    def is_unreachable(self) -> bool:
        return self._num_broken >= MAX_BROKEN

    def read(self, line: str) -> None:
        if broken := BROKEN.match(line):
            self.broken, self._num_broken = broken[1], self._num_broken + 1
            return
        self._num_broken = 0
        if bar := BAR.search(line):
            self._show("", f"{self._detail}, {bar[0].strip()}")
            return
        if download := DOWNLOAD.match(line):
            name, size = download.groups()
            self._detail = f"downloading {name} ({size})"
            self._show(self._detail if LARGE.fullmatch(size) else "downloading packages", self._detail)
        elif COLLECTED.match(line):
            self._num_found += 1
            self._detail = f"finding the packages, {self._num_found} so far"
            self._show("finding the packages", self._detail)
        elif installation := INSTALLATION.match(line):
            self._detail = f"installing {installation[1].count(',') + 1} packages"
            self._show(self._detail, self._detail)
        elif line.strip():
            self.details.append(line)

    def clear(self) -> None:
        if self._is_terminal:
            sys.stderr.write(CLEAR_LINE)
            sys.stderr.flush()

    def _show(self, stage: str, detail: str) -> None:
        """The detail on a terminal, elsewhere each stage once."""
        if self._is_terminal:
            num_columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            sys.stderr.write(CLEAR_LINE + f"asr-api: {detail}"[: num_columns - 1])
        elif stage and stage not in self._shown:
            self._shown.add(stage)
            sys.stderr.write(f"asr-api: {stage}\n")
        sys.stderr.flush()


def lines_of(output: IO[bytes]) -> Iterator[str]:
    """Lines as they are written; a bar ends with a carriage return."""
    pending = b""
    while block := os.read(output.fileno(), BLOCK_BYTES):
        *whole, pending = re.split(rb"[\r\n]", pending + block)
        yield from (CONTROL_CODE.sub("", line.decode(errors="replace")) for line in whole)
    yield CONTROL_CODE.sub("", pending.decode(errors="replace"))


def main(arguments: list[str]) -> int:
    """The exit status of pip."""
    is_terminal = sys.stderr.isatty()
    progress = Progress(is_terminal=is_terminal)
    command = [sys.executable, "-I", "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    environment = dict(os.environ) | ({"FORCE_COLOR": "1"} if is_terminal else {})  # only with it are there bars
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT) as pip:  # noqa: S603
        assert pip.stdout is not None  # noqa: S101
        try:
            for line in lines_of(pip.stdout):
                progress.read(line)
                if progress.is_unreachable:
                    pip.terminate()
                    break
            status = pip.wait()
        except KeyboardInterrupt:  # a terminal has sent it to pip as well
            pip.wait()
            status = INTERRUPTED
    progress.clear()
    if progress.is_unreachable:
        sys.stderr.write(f"asr-api: the package registry cannot be reached ({progress.broken}); check the network\n")
        return UNREACHABLE
    if 0 < status < INTERRUPTED:
        sys.stderr.writelines(f"{line}\n" for line in progress.details)
    return status if status >= 0 else INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
