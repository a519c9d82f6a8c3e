"""How many cores this process may use, what the processor is called, and which products it is good at.

Reads /proc and /sys, knows nothing else.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
EXACT_BYTE_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}  # as /proc/cpuinfo calls what brings them


def usable_cores() -> int:
    """The smaller of the scheduler's affinity and the container's CPU quota, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_cores()
    return affinity if quota is None else max(1, min(affinity, int(quota + 0.5)))


def processor_name() -> str:
    """Such as "CPU (AMD EPYC 7763 64-Core Processor)"."""
    return f"CPU ({_cpuinfo('model name') or platform.processor() or platform.machine()})"


def has_exact_byte_products() -> bool:
    """Whether sums of 8-bit products are kept in 32 bits. x86 processors without VNNI add pairs of them in 16, which
    overflows where both factors use their whole range.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return True
    return not EXACT_BYTE_PRODUCTS.isdisjoint(_cpuinfo("flags").split())


def has_bfloat16_products() -> bool:
    """Whether whole tiles of matrices are multiplied in bfloat16: x86 processors with AMX."""
    return "amx_bf16" in _cpuinfo("flags").split()


def _cpuinfo(field: str) -> str:
    """Of the first core; empty where it is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _cgroup_cores() -> float | None:
    """The tightest quota on the way from this process's control group to the root; None without one."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    groups = [line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")]
    folders = [CGROUPS / group for group in groups] or [CGROUPS]
    quotas = [_read_quota(folder / "cpu.max") for top in folders for folder in (top, *top.parents)]
    quotas.append(_read_quota_v1(CGROUPS / "cpu"))
    return min((quota for quota in quotas if quota is not None), default=None)


def _read_quota(path: Path) -> float | None:
    """cpu.max holds "quota period" in microseconds, or "max period"."""
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such group, or no limit
        return None


def _read_quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None
