"""A path on this machine → `Spool`, judged by the file that was really opened, so that no swapped link can win a race.

Knows nothing about audio. Blocking: call it in a thread.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
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
_FORBIDDEN = (Path("/proc"), Path("/dev"), Path("/sys"))
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY  # O_NONBLOCK: a FIFO must not hang us


def open_local(path: str, policy: MediaPolicy, *, is_local_client: bool) -> Spool:
    """Opens a regular file that the rule allows.

    A relative path starts at the root where there is one, else in the server's working directory.
    Errors: LocalPathDisabled, InvalidPath; PathNotAllowed, below a root the same whether or not such a file exists; and
    where the client may look: PathNotFound, PathNotFile, MediaTooLarge. No message repeats the path.
    """
    rule = policy.local_paths
    if not rule.is_enabled or (rule.root is None and not is_local_client):
        raise LocalPathDisabled("This server does not open local paths for you; upload the file or send a link.")
    if not path or len(path) > MAX_PATH_CHARS or not _is_clean(path):
        raise InvalidPath(f"The path must be 1 to {MAX_PATH_CHARS:,} characters of text without a NUL.")
    try:
        wanted = Path(rule.root or "", path).absolute()
        _check_not_device(Path(os.path.normpath(wanted)), rule)  # /dev/fd/7 may lead to the upload of another client
        real = Path(os.path.realpath(wanted))
        _check_allowed(real, rule)  # before the open, which may wake up a device
        fd = os.open(real, _FLAGS)
    except OSError as error:
        raise _refusal(error, rule) from error
    try:
        _check_allowed(_path_of(fd), rule)
        size_bytes = _checked_size(fd, policy.max_media_bytes)
    except BaseException:
        os.close(fd)
        raise
    return Spool(os.fdopen(fd, "rb", buffering=0), size_bytes)


def _checked_size(fd: int, max_bytes: int) -> int:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise _not_a_file()
    if status.st_size > max_bytes:
        raise MediaTooLarge(
            f"The file has {status.st_size:,} bytes and the limit here is {max_bytes:,}; compress or split it."
        )
    return status.st_size


def _check_allowed(path: Path, rule: LocalPaths) -> None:
    if rule.root is not None and not path.is_relative_to(os.path.realpath(rule.root)):
        raise _closed(rule)
    _check_not_device(path, rule)


def _check_not_device(path: Path, rule: LocalPaths) -> None:
    if any(path.is_relative_to(forbidden) for forbidden in _FORBIDDEN):
        raise _closed(rule, "Nothing below /dev, /proc and /sys is opened; name an audio file.")


def _path_of(fd: int) -> Path:
    if sys.platform == "darwin":
        import fcntl

        return Path(os.fsdecode(fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))
    return Path(f"/proc/self/fd/{fd}").readlink()


def _is_clean(path: str) -> bool:
    try:
        return "\0" not in path and bool(os.fsencode(path))
    except UnicodeEncodeError:  # a surrogate that stands for no byte of a name
        return False


def _closed(rule: LocalPaths, reason: str = "") -> PathNotAllowed:
    """With a root there is one answer for all; without one the client may name any file, and is told the reason."""
    outside = "The path is outside of what this server may open; upload the file or send a link."
    return PathNotAllowed(reason if rule.root is None else outside)


def _not_a_file() -> PathNotFile:
    return PathNotFile("The path is not a regular file; name an audio file.")


def _refusal(error: OSError, rule: LocalPaths) -> AsrError:
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return ServerOverloaded("The server has too many files open; try again later.", retry_after_s=5)
    if error.errno in {errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP, errno.EISDIR}:  # sockets and odd devices
        return _not_a_file()
    if error.errno in {errno.ENAMETOOLONG, errno.EINVAL}:
        return InvalidPath("The path has a part that is too long for a file name; check the spelling.")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return _closed(rule, "The user that asr-api runs as may not read that path; change its owner or its mode.")
    return PathNotFound("There is no file at that path on the server; check the spelling.")
