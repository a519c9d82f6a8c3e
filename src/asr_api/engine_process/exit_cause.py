"""Why the engine process ended: a crash, or a kill from outside, which says nothing about the windows in it."""

from __future__ import annotations

import signal
from pathlib import Path

KERNEL_COUNTS = Path("/proc/vmstat")
KILLS = frozenset({signal.SIGKILL, signal.SIGTERM})


def num_memory_kills() -> int | None:
    """Processes that the kernel has killed on this machine because memory ran out; None where it does not say."""
    try:
        lines = KERNEL_COUNTS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def is_outside_kill(code: int, num_memory_kills_before: int | None) -> bool:
    """Whether a process ended by a kill that neither the kernel nor, as the caller knows, this server has sent.

    num_memory_kills_before: when the process was started. Where it is unknown, no kill counts as one from outside.
    """
    return -code in KILLS and num_memory_kills_before is not None and num_memory_kills() == num_memory_kills_before


def exit_text(code: int) -> str:
    return f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
