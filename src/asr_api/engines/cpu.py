"""The CPU as Linux describes it: usable cores, the processor's name, and the matrix products it is fast at."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from asr_api.control_groups import read_limits

# The flags in /proc/cpuinfo of the instructions that sum 8-bit products in 32 bits.
EXACT_BYTE_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}


def usable_cores() -> int:
    """The smaller of the scheduler's affinity and the container's CPU quota, at least 1."""
    affinity = len(os.sched_getaffinity(0))
    quota = _cgroup_quota()
    return affinity if quota is None else max(1, min(affinity, int(quota + 0.5)))


def processor_name() -> str:
    """The name of the processor, such as "CPU (AMD EPYC 7763 64-Core Processor)"."""
    return f"CPU ({_cpuinfo('model name') or platform.processor() or platform.machine()})"


def has_exact_byte_products() -> bool:
    """Whether sums of 8-bit products are kept in 32 bits.

    x86 processors without VNNI add pairs of them in 16 bits, which overflows where both factors use their whole range.
    """
    return platform.machine() != "x86_64" or not EXACT_BYTE_PRODUCTS.isdisjoint(_cpuinfo("flags").split())


def has_bfloat16_products() -> bool:
    """Whether whole tiles of matrices are multiplied in bfloat16: x86 processors with AMX."""
    return "amx_bf16" in _cpuinfo("flags").split()


def _cpuinfo(field: str) -> str:
    """The field of the first core; empty where the kernel does not give it, as ARM's does not give a model name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _cgroup_quota() -> float | None:
    """In cores: the tightest quota of the control groups that this process is in; None without one."""
    quotas = map(_quota, read_limits("cpu.max"))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(text: str) -> float | None:
    """Of "quota period" in microseconds; None of "max period"."""
    try:
        quota, period = text.split()
        return int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
