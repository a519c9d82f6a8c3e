"""Landlock: a process opens no file, connects to nothing and signals nobody. See landlock(7) for the numbers."""

from __future__ import annotations

import ctypes

CREATE_RULESET, RESTRICT_SELF = 444, 446  # system calls, the same on all architectures
RULESET_VERSION = 1  # a flag of CREATE_RULESET
NUM_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # by version; 16 since version 5
NETWORK_RIGHTS, NETWORK_VERSION = 0b11, 4
SCOPES, SCOPES_VERSION = 0b11, 6  # sockets without a path, and signals


class Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


def forbid_files() -> bool:
    """For this process and its forks, beside what is open. False where the kernel has no Landlock."""
    system_call = ctypes.CDLL(None).syscall
    version = system_call(CREATE_RULESET, None, ctypes.c_size_t(0), RULESET_VERSION)
    if version < 1:
        return False
    ruleset = Ruleset(
        files=2 ** NUM_FILE_RIGHTS.get(version, 16) - 1,
        network=NETWORK_RIGHTS if version >= NETWORK_VERSION else 0,
        scopes=SCOPES if version >= SCOPES_VERSION else 0,
    )
    # The descriptor of the ruleset stays open, and gives no rights; the workers close it.
    fd = system_call(CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(ctypes.sizeof(ruleset)), 0)
    return bool(fd >= 0 and system_call(RESTRICT_SELF, fd, 0) == 0)
