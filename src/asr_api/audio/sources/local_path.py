"""Local paths that clients name, opened as a `Spool` if the policy allows them.

The path of the opened descriptor is checked as well, in case a link was swapped meanwhile. Blocks: call it in a thread.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from asr_api.audio.sources.policy import LocalPaths, MediaPolicy
from asr_api.audio.sources.spool import Spool
from asr_api.errors import (
    AsrError,
    InvalidPath,
    LocalPathDisabled,
    MediaTooLarge,
    PathNotAllowed,
    PathNotFile,
    PathNotFound,
    ServerOverloaded,
)

MAX_PATH_CHARS = 4096  # PATH_MAX on Linux
INVALID_PATH = f"The path must have 1 to {MAX_PATH_CHARS:,} characters and no NUL; correct it."
NOT_FILE = "The path is not a regular file; name an audio file."
FORBIDDEN_FOLDERS = (Path("/proc"), Path("/dev"), Path("/sys"))
OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY  # O_NONBLOCK: opening a FIFO must not block


def open_local_path(path: str, policy: MediaPolicy, *, is_local_client: bool) -> Spool:
    """Opens a regular file. A relative path starts at the root of the policy, or in the server's working directory.

    Errors: LocalPathDisabled, InvalidPath; PathNotAllowed, with a root the same whether or not such a file exists; and
    for allowed paths: PathNotFound, PathNotFile, MediaTooLarge. No message repeats the path.
    """
    rule = policy.local_paths
    if not rule.is_enabled or (rule.root is None and not is_local_client):
        raise LocalPathDisabled("Local paths are not open to this client; upload the file or send a link.")
    if not path or len(path) > MAX_PATH_CHARS:
        raise InvalidPath(INVALID_PATH)
    try:
        wanted = Path(rule.root or "", path).absolute()
        _check_not_device(Path(os.path.normpath(wanted)), rule)  # /dev/fd/7 may lead to the upload of another client
        real = Path(os.path.realpath(wanted))
        _check_allowed(real, rule)  # before the open, which may start a device
        fd = os.open(real, OPEN_FLAGS)
    except OSError as error:
        raise _open_error(error, rule) from error
    except ValueError as error:  # a NUL, or a surrogate that encodes no byte
        raise InvalidPath(INVALID_PATH) from error
    try:
        _check_allowed(Path(f"/proc/self/fd/{fd}").readlink(), rule)
        size_bytes = _checked_size(fd, policy.max_media_bytes)
    except BaseException:
        os.close(fd)
        raise
    return Spool(os.fdopen(fd, "rb", buffering=0), size_bytes)


def _checked_size(fd: int, max_bytes: int) -> int:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise PathNotFile(NOT_FILE)
    if status.st_size > max_bytes:
        raise MediaTooLarge(
            f"The file has {status.st_size:,} bytes; the limit (MAX_UPLOAD_MB) is {max_bytes:,}; compress or split it."
        )
    return status.st_size


def _check_allowed(path: Path, rule: LocalPaths) -> None:
    if rule.root is not None and not path.is_relative_to(os.path.realpath(rule.root)):
        raise _not_allowed(rule)
    _check_not_device(path, rule)


def _check_not_device(path: Path, rule: LocalPaths) -> None:
    if any(path.is_relative_to(forbidden) for forbidden in FORBIDDEN_FOLDERS):
        raise _not_allowed(rule, "Files below /dev, /proc and /sys are not opened; name an audio file.")


def _not_allowed(rule: LocalPaths, reason: str = "") -> PathNotAllowed:
    """With a root all answers are the same; without one the client may name any file and gets the reason."""
    outside = "The path is outside of the folder that this server opens; upload the file or send a link."
    return PathNotAllowed(reason if rule.root is None else outside)


def _open_error(error: OSError, rule: LocalPaths) -> AsrError:
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return ServerOverloaded("The server has too many open files; try again later.", retry_after_s=5)
    if error.errno in {errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP, errno.EISDIR}:  # sockets and some devices
        return PathNotFile(NOT_FILE)
    if error.errno in {errno.ENAMETOOLONG, errno.EINVAL}:
        return InvalidPath("A part of the path is too long for a file name; check the spelling.")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return _not_allowed(rule, "The user that asr-api runs as may not read that path; change its owner or its mode.")
    return PathNotFound("The server has no file at that path; check the spelling.")
