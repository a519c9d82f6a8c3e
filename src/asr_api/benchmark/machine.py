"""What a process and all that it started take of the machine, and what others do meanwhile, as Linux tells it.

Elsewhere every answer is None. Memory that processes share, such as the pages of a library, is counted once (PSS).
Knows nothing about what the processes do, but for the name of the engine's.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

PROC = Path("/proc")
ENGINE = "asr-api-engine"
INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds of one core since whenever, at one moment; only differences mean something.

    service_s: of this process; decoders_s: of what it started, but for the engine, `engine_s`
    machine_s: of everybody on the machine, and what other machines on the same hardware took from it
    """

    at_s: float
    service_s: float
    decoders_s: float
    engine_s: float
    machine_s: float

    @property
    def own_s(self) -> float:
        return self.service_s + self.decoders_s + self.engine_s


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Between two moments. num_other_cores: how many cores' worth of time others took"""

    service_s: float
    decoders_s: float
    engine_s: float
    num_other_cores: float


def cpu_use(before: CpuTimes | None, after: CpuTimes | None) -> CpuUse | None:
    if before is None or after is None or after.at_s <= before.at_s:
        return None
    others_s = after.machine_s - before.machine_s - (after.own_s - before.own_s)
    return CpuUse(
        after.service_s - before.service_s,
        after.decoders_s - before.decoders_s,
        after.engine_s - before.engine_s,
        max(0.0, others_s / (after.at_s - before.at_s)),
    )


def read_cpu_times() -> CpuTimes | None:
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    try:
        machine = (PROC / "stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
        own = _stat(os.getpid())
    except OSError:  # not Linux
        return None
    user, nice, system, _, _, irq, soft_irq, stolen = map(int, machine)
    decoders, engine = own[2] + own[3], 0  # the children that have ended; what lives is added
    for pid in _tree(os.getpid())[1:]:
        with contextlib.suppress(OSError):  # it has just ended
            spent = sum(_stat(pid))
            is_engine = (PROC / str(pid) / "comm").read_text(encoding="utf-8").strip() == ENGINE
            engine, decoders = (engine + spent, decoders) if is_engine else (engine, decoders + spent)
    ticks = (own[0] + own[1], decoders, engine, user + nice + system + irq + soft_irq + stolen)
    return CpuTimes(time.perf_counter(), *(num * tick_s for num in ticks))


def tree_bytes(pid: int) -> int | None:
    """The memory of a process and of all that it started."""
    found = [memory for each in _tree(pid) if (memory := _pss_bytes(each)) is not None]
    return sum(found) if found else None


class PeakMemory:
    """Looks twice a second while the block runs."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes: int | None = None
        self._pid = pid
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="asr-api-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            if (now_bytes := tree_bytes(self._pid)) is not None:
                self.peak_bytes = max(now_bytes, self.peak_bytes or 0)
            if self._is_over.wait(INTERVAL_S):
                return


def _tree(pid: int) -> list[int]:
    """The process and its descendants; those that end meanwhile may be missing."""
    pids = [pid]
    for each in pids:
        with contextlib.suppress(OSError):  # it ends just now
            for task in (PROC / str(each) / "task").iterdir():
                pids += map(int, (task / "children").read_text(encoding="ascii").split())
    return pids


def _stat(pid: int) -> tuple[int, int, int, int]:
    """Ticks of the process as user and in the kernel, and the same of its children that have ended."""
    fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]), int(fields[12]), int(fields[13]), int(fields[14])


def _pss_bytes(pid: int) -> int | None:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux, or the process has ended
        return None
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
