from __future__ import annotations

import os
from pathlib import Path

import pytest

from asr_api.engines import cpu as cores


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty control group for this process, who may use 8 cores."""
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    read_text = Path.read_text

    def fake_read_text(path: Path, encoding: str) -> str:
        return "0::/pod/box\n" if path == Path("/proc/self/cgroup") else read_text(path, encoding=encoding)

    monkeypatch.setattr(Path, "read_text", fake_read_text)
    (tmp_path / "pod" / "box").mkdir(parents=True)
    return tmp_path / "pod" / "box"


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("20000 100000", 1),
        ("9900000 100000", 8),
        ("?", 8),
    ],
)
def test_a_quota_limits_the_cores(group: Path, quota: str, expected: int) -> None:
    (group / "cpu.max").write_text(quota)
    assert cores.usable_cores() == expected


def test_the_tightest_quota_above_counts(group: Path) -> None:
    (group / "cpu.max").write_text("max 100000")
    (group.parent / "cpu.max").write_text("300000 100000")
    assert cores.usable_cores() == 3


def test_the_first_version_of_control_groups_is_read_too(group: Path) -> None:
    folder = group.parent.parent / "cpu"
    folder.mkdir()
    (folder / "cpu.cfs_quota_us").write_text("400000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert cores.usable_cores() == 4
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    assert cores.usable_cores() == 8


def test_this_machine_has_a_processor_with_a_name() -> None:
    assert cores.usable_cores() >= 1
    assert cores.processor_name().startswith("CPU (")
    assert len(cores.processor_name()) > len("CPU ()")


@pytest.mark.parametrize(
    ("machine", "flags", "is_exact", "has_bfloat16"),
    [
        ("x86_64", "fpu avx2 fma", False, False),
        ("x86_64", "fpu avx2 avx512f avx512_vnni avx512_bf16", True, False),
        ("x86_64", "fpu avx2 avx_vnni", True, False),
        ("x86_64", "fpu avx512_vnni amx_bf16 amx_tile amx_int8", True, True),
        ("AMD64", "", False, False),
        ("aarch64", "", True, False),
    ],
)
def test_which_products_a_processor_is_good_at(
    monkeypatch: pytest.MonkeyPatch, machine: str, flags: str, is_exact: bool, has_bfloat16: bool
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"processor\t: 0\nflags\t\t: {flags}\n")
    assert cores.has_exact_byte_products() is is_exact
    assert cores.has_bfloat16_products() is has_bfloat16
