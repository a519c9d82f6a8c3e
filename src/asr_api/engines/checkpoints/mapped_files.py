"""Files of weights mapped into memory: a tensor is a view of the page cache, and nothing is read before it is used."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr_api.errors import CheckpointError

Bytes = NDArray[np.uint8]


class MappedFiles:
    """Files, one after the other, as one range of bytes; most checkpoints have one file, some have it in parts."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises CheckpointError when a file cannot be opened, or is empty."""
        self._maps = [_open_map(path) for path in paths]
        self._starts = [0, *accumulate(map(len, self._maps))]

    def __len__(self) -> int:
        return self._starts[-1]

    def view(self, offset: int, num_bytes: int) -> Bytes:
        """Bytes of one file as a view; those that two files share are copied. The range must lie inside the files."""
        parts = []
        for mapped, start in zip(self._maps, self._starts, strict=False):
            first, last = max(offset - start, 0), min(offset + num_bytes - start, len(mapped))
            if first < last:
                parts.append(np.frombuffer(mapped, np.uint8, last - first, first))
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint8), *parts])

    def forget(self) -> None:
        """Frees the memory that reading took; views stay valid and are read again where they are needed."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)


def _open_map(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            # The map is never written. It is copy-on-write because OpenVINO refuses memory that is read-only.
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except ValueError as error:
        raise CheckpointError(f"The checkpoint's {path.name} is empty; fetch the checkpoint again.") from error
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint's {path.name} cannot be read ({error}); check its permissions, or fetch the checkpoint "
            "again."
        ) from error
