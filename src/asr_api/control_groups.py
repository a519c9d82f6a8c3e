"""Control groups of version 2: the limits of the groups that this process is in."""

from __future__ import annotations

import contextlib
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def read_limits(name: str) -> list[str]:
    """The content of this file, such as "cpu.max", in the group of this process and in those above it that have one."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:  # a kernel without control groups
        return []
    groups = [line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")]
    folders = [folder for group in groups for folder in (CGROUPS / group, *(CGROUPS / group).parents)]
    limits = []
    for folder in folders:
        with contextlib.suppress(OSError):
            limits.append((folder / name).read_text(encoding="ascii"))
    return limits
