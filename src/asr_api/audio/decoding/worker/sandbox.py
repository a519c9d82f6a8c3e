"""Sandbox of the decoder processes: the fork server, each worker, and the resource limits of a job. Irreversible."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from pathlib import Path

from asr_api.audio.decoding.worker.landlock import forbid_files
from asr_api.audio.decoding.worker.system_call_filter import forbid_system_calls, has_system_call_filters

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CPU_GRACE_S = 5
SHORT_CPU_S = 2.0  # a clip takes less; a worker that takes more lets clips and the engine go first
LOWEST_PRIORITY = 19
OOM_SCORE_ADJUSTMENT = 1000  # the highest: the kernel ends this process before any other when memory runs out


def address_space_bytes() -> int:
    pages, _, _ = Path("/proc/self/statm").read_text(encoding="utf-8").partition(" ")
    return int(pages) * resource.getpagesize()


def confine_process() -> list[str]:
    """Exits with its parent, gains no privileges, and opens nothing. Returns the protections that the system lacks."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.chdir("/")
    missing = []
    try:
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJUSTMENT), encoding="utf-8")
    except OSError:
        missing.append("oom_score_adj")
    libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)  # no effect where containers forbid it; no socket can be opened anyway
    if not forbid_files():
        missing.append("Landlock")
    if not has_system_call_filters():
        missing.append("seccomp")
    return missing


def confine_worker() -> None:
    """Exits with its parent (not inherited by a fork); cannot inspect or signal other workers."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.unshare(CLONE_NEWUSER)
    forbid_files()


def confine_job(max_memory_bytes: int, max_cpu_s: int) -> None:
    """Nothing more can be opened, written or started; memory and CPU time are limited. Call it before the media.

    After SHORT_CPU_S the priority is lowered.
    """
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        resource.setrlimit(kind, (0, 0))
    _limit(resource.RLIMIT_AS, max_memory_bytes, max_memory_bytes)
    # The soft limit sends SIGXCPU, by which the server knows the cause; the hard limit sends SIGKILL.
    _limit(resource.RLIMIT_CPU, max_cpu_s, max_cpu_s + CPU_GRACE_S)
    signal.signal(signal.SIGPROF, lambda *_: os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY))
    signal.setitimer(signal.ITIMER_PROF, SHORT_CPU_S)
    if has_system_call_filters():
        forbid_system_calls()


def _limit(kind: int, soft: int, hard: int) -> None:
    """Sets a limit unless it is tighter already."""
    _, present = resource.getrlimit(kind)
    if present != resource.RLIM_INFINITY:
        soft, hard = min(soft, present), min(hard, present)
    resource.setrlimit(kind, (soft, hard))
