"""What the benchmark asks of an engine: convert the checkpoint once, open it in a process of its own, hear a file.

Knows no engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Heard:
    """What an engine did with a file, as it counts itself.

    num_windows:  times that the decoder began a text
    num_tokens:   tokens of text, without timestamps and the end
    """

    num_windows: int
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Opened:
    """An engine that is loaded; `process_id` is the root of the processes that do its work."""

    process_id: int
    transcribe: Callable[[Path], Heard]


class Peer(Protocol):
    """One engine with one set of settings; `package` is what its version is asked of."""

    @property
    def package(self) -> str: ...

    def convert(self, checkpoint: Path, cache: Path) -> Path:
        """From a folder as transformers writes it to what the engine opens, kept below `cache` for the next time."""

    def open(self, model: Path, num_threads: int) -> Opened: ...
