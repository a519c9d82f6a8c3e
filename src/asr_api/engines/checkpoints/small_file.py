"""Reads a small file of a checkpoint whole, after its kind and size are checked: no pipe, no device, no gigabytes."""

from __future__ import annotations

import stat
from pathlib import Path

from asr_api.errors import CheckpointError


def read_small_file(path: Path, max_bytes: int) -> bytes:
    """Raises FileNotFoundError when there is none, and CheckpointError when it cannot be read."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"The checkpoint's {path.name} is not a regular file; fetch the checkpoint again.")
        if status.st_size > max_bytes:
            raise CheckpointError(
                f"The checkpoint's {path.name} has {status.st_size} bytes, and at most {max_bytes} are read; fetch the "
                "checkpoint again."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint's {path.name} cannot be read ({error.strerror}); check its permissions, or fetch the "
            "checkpoint again."
        ) from error
