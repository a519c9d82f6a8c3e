"""Progress bar of `asr-api transcribe`, on stderr if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

BAR_FORMAT = "{percentage:3.0f}% {bar:20} {n:.0f}/{total:.0f} s of audio, {desc} [{elapsed}<{remaining}]"


class Progress:
    """Seconds of audio that are transcribed and known to be left, and the number of sources that are done."""

    def __init__(self, num_sources: int, backlog_s: Callable[[], float]) -> None:
        """backlog_s: returns the seconds of known audio that are not transcribed yet"""
        self._num_sources = num_sources
        self._num_finished = 0
        self._backlog_s = backlog_s
        is_off = not sys.stderr.isatty()
        self._bar = tqdm(desc=f"0 of {num_sources} done", total=0, bar_format=BAR_FORMAT, leave=False, disable=is_off)

    def close(self) -> None:
        self._bar.close()

    def advance(self, audio_s: float) -> None:
        self._bar.total = self._bar.n + audio_s + self._backlog_s()
        self._bar.update(audio_s)

    def finish_source(self) -> None:
        self._num_finished += 1
        self._bar.set_description_str(f"{self._num_finished} of {self._num_sources} done")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While something else is written to the terminal."""
        self._bar.clear()
        yield
        self._bar.refresh()
