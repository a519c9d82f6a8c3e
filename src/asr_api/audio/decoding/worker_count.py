"""How many decoder workers the memory of the machine allows."""

from __future__ import annotations

from pathlib import Path

from asr_api.control_groups import read_limits

# Half of the memory, at 64 MiB for each worker: real recordings take 20 MiB, but for hours with video (up to 430 MiB).
# The kernel ends workers, before any other process, where many take more.
BYTES_PER_WORKER = 2**27
MIN_WORKERS = 2


def count_workers(memory_bytes: int, max_workers: int) -> int:
    return min(max_workers, max(MIN_WORKERS, memory_bytes // BYTES_PER_WORKER))


def usable_memory_bytes() -> int:
    """The smaller of what the machine has available and the limits of the control groups of this process."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    available_kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    limits = [int(limit) for limit in read_limits("memory.max") if limit.strip().isdigit()]
    return min([available_kib * 2**10, *limits])
