"""Line coverage of processes that `coverage` doesn't measure by itself.

A process that a test gives an environment of its own needs ENVIRONMENT in it. A decoder worker can neither open nor
write a file, and ends by os._exit or a kill: it marks the lines that it runs in a mapping made before its sandbox. The
fork server maps a file with a byte for each line of the modules below; its workers inherit the mapping.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

ENVIRONMENT = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}

SOURCE = Path(__file__).parent.parent / "src/asr_api"
MODULES = [str(path) for path in sorted((SOURCE / "audio/decoding").rglob("*.py"))]
MAX_LINES = 512  # a module has at most 300

START = "import sys; sys.path[:] = sys.argv[1:]; from tests.process_coverage import start; start({folder!r}); "

Tracer = Callable[[FrameType, str, Any], Any]


def start(folder: str) -> None:
    """Traces this process and its forks from here on."""
    fd = os.open(f"{folder}/{os.getpid()}", os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, len(MODULES) * MAX_LINES)
    lines = mmap.mmap(fd, 0)
    os.close(fd)
    tracers = {path: _tracer(lines, index * MAX_LINES) for index, path in enumerate(MODULES)}

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        tracer = tracers.get(frame.f_code.co_filename)
        return tracer and tracer(frame, event, argument)

    sys.settrace(trace)


def _tracer(lines: mmap.mmap, offset: int) -> Tracer:
    def trace(frame: FrameType, event: str, argument: Any) -> Tracer:
        if event == "line":
            lines[offset + frame.f_lineno] = 1
        return trace

    return trace


def marked_lines(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """(module, its lines that ran) in any process that was traced."""
    combined = 0
    for marks in folder.iterdir():
        combined |= int.from_bytes(marks.read_bytes(), "little")
    content = combined.to_bytes(len(MODULES) * MAX_LINES, "little")
    for index, path in enumerate(MODULES):
        lines = content[index * MAX_LINES :][:MAX_LINES]
        yield path, [number for number, mark in enumerate(lines) if mark]
