"""Media file: a descriptor as a file object for FFmpeg, in which headers that FFmpeg misreads are put right."""

from __future__ import annotations

import os
from typing import Protocol, Self

from asr_api.audio.decoding.worker.header_corrections import correct_headers


class ReadableMedia(Protocol):
    """A file object for FFmpeg, complete or growing. One that cannot seek has no `seek`."""

    fd: int

    def read(self, num_bytes: int) -> bytes: ...

    def rewind(self) -> None: ...

    def reopened(self) -> Self:
        """The same file with a position of its own."""


class MediaFile:
    """The descriptor as a file object for PyAV, with a position of its own."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size_bytes = os.lseek(fd, 0, os.SEEK_END)  # nobody uses its position; fstat is a stat for the sandbox
        self.position = 0
        self._corrections = correct_headers(fd, self.size_bytes)

    def read(self, num_bytes: int) -> bytes:
        data = self._corrections.read(self.fd, self.position, num_bytes)
        self.position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size_bytes}[whence]
        self.position = max(0, base + offset)
        return self.position

    def rewind(self) -> None:
        self.position = 0

    def reopened(self) -> MediaFile:
        return MediaFile(self.fd)

    def tell(self) -> int:
        return self.position
