"""Confines the process that it runs in, for good: the nursery, then each worker, then all that a job does not need.

What a platform lacks is left out; Linux lacks nothing but, in some containers, a network of one's own.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CPU_GRACE_S = 5


def confine_process() -> None:
    """Dies with the server, gains no privilege, sees no network where that is permitted."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)  # containers often forbid it; no socket can be opened anyway
    os.chdir("/")


def confine_worker() -> None:
    """Dies with its parent, which it does not inherit, and is a stranger to the other workers: a user namespace of its
    own, where permitted, so that none can look into another.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.unshare(CLONE_NEWUSER)


def confine_resources(max_memory_bytes: int, max_cpu_s: int) -> None:
    """From here on nothing can be opened, written or started: the number of new descriptors and processes is zero."""
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        resource.setrlimit(kind, (0, 0))
    _limit(resource.RLIMIT_AS, max_memory_bytes, max_memory_bytes)
    # The soft limit tells by its signal what happened; the hard one would kill like anything else.
    _limit(resource.RLIMIT_CPU, max_cpu_s, max_cpu_s + CPU_GRACE_S)


def _limit(kind: int, soft: int, hard: int) -> None:
    """Tightens a limit; one that is tighter already stays."""
    _, present = resource.getrlimit(kind)
    if present != resource.RLIM_INFINITY:
        soft, hard = min(soft, present), min(hard, present)
    try:
        resource.setrlimit(kind, (soft, hard))
    except (OSError, ValueError):
        if sys.platform == "linux":  # macOS has no such limit on memory
            raise
