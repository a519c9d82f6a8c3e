"""The number of decoder workers by the memory of the machine and of its control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_api import control_groups
from asr_api.audio.decoding.worker_count import count_workers, usable_memory_bytes

GIB = 2**30


@pytest.mark.parametrize(
    ("memory_gib", "max_workers", "expected"),
    [(1024, 64, 64), (8, 64, 64), (4, 64, 32), (1, 64, 8), (0.1, 64, 2), (0, 64, 2), (8, 5, 5), (0, 1, 1)],
)
def test_workers_fit_into_the_memory_but_for_the_first_two(memory_gib: float, max_workers: int, expected: int) -> None:
    assert count_workers(int(memory_gib * GIB), max_workers) == expected


@pytest.mark.parametrize(
    ("limit", "limit_above", "expected"),
    [("max", "max", 3 * GIB), (str(GIB), "max", GIB), (str(2 * GIB), str(GIB), GIB), (str(9 * GIB), None, 3 * GIB)],
)
def test_the_tightest_limit_of_memory_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, limit_above: str | None, expected: int
) -> None:
    (tmp_path / "pod/box").mkdir(parents=True)
    (tmp_path / "pod/box/memory.max").write_text(f"{limit}\n")
    if limit_above is not None:
        (tmp_path / "pod/memory.max").write_text(f"{limit_above}\n")
    read_text = Path.read_text
    files = {
        "/proc/self/cgroup": "0::/pod/box\n",
        "/proc/meminfo": f"MemTotal: {8 * 2**20} kB\nMemAvailable: {3 * 2**20} kB\n",
    }
    monkeypatch.setattr(control_groups, "CGROUPS", tmp_path)
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: files.get(str(path)) or read_text(path, encoding))
    assert usable_memory_bytes() == expected


def test_this_machine() -> None:
    assert usable_memory_bytes() > 2**20
