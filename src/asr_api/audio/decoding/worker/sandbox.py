"""Sandbox of the decoder processes: the fork server, each worker, and the resource limits of a job. Irreversible."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CPU_GRACE_S = 5
OOM_SCORE_ADJUSTMENT = 1000  # the highest: the kernel ends this process before any other when memory runs out


def address_space_bytes() -> int:
    pages, _, _ = Path("/proc/self/statm").read_text(encoding="ascii").partition(" ")
    return int(pages) * resource.getpagesize()


def confine_process() -> None:
    """Exits with its parent, gains no privileges, and has no network where a network namespace is permitted."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJUSTMENT), encoding="ascii")
    libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)  # no effect where containers forbid it; no socket can be opened anyway
    os.chdir("/")


def confine_worker() -> None:
    """Exits with its parent (not inherited by a fork); cannot inspect other workers where a namespace is permitted."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.unshare(CLONE_NEWUSER)


def confine_resources(max_memory_bytes: int, max_cpu_s: int) -> None:
    """Nothing more can be opened, written or started; memory and CPU time are limited."""
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        resource.setrlimit(kind, (0, 0))
    _limit(resource.RLIMIT_AS, max_memory_bytes, max_memory_bytes)
    # The soft limit sends SIGXCPU, by which the server knows the cause; the hard limit sends SIGKILL.
    _limit(resource.RLIMIT_CPU, max_cpu_s, max_cpu_s + CPU_GRACE_S)


def _limit(kind: int, soft: int, hard: int) -> None:
    """Sets a limit unless it is tighter already."""
    _, present = resource.getrlimit(kind)
    if present != resource.RLIM_INFINITY:
        soft, hard = min(soft, present), min(hard, present)
    resource.setrlimit(kind, (soft, hard))
