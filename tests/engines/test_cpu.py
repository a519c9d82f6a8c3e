"""Cores by affinity and quota, and fast products by the flags of a processor."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from asr_api import control_groups
from asr_api.engines import cpu


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this process's control group, without a quota yet; the affinity is 8 CPUs."""
    monkeypatch.setattr(control_groups, "CGROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    read_text = Path.read_text

    def fake_read_text(path: Path, encoding: str) -> str:
        return "0::/pod/box\n" if path == Path("/proc/self/cgroup") else read_text(path, encoding=encoding)

    monkeypatch.setattr(Path, "read_text", fake_read_text)
    (tmp_path / "pod" / "box").mkdir(parents=True)
    return tmp_path / "pod" / "box"


@pytest.mark.parametrize(
    ("quota", "quota_above", "expected"),
    [
        ("max 100000", "", 8),
        ("200000 100000", "", 2),
        ("150000 100000", "", 2),
        ("20000 100000", "", 1),
        ("9900000 100000", "", 8),
        ("?", "", 8),
        ("max 100000", "300000 100000", 3),  # the tightest of all groups above counts
    ],
)
def test_quota_limits_the_cores(group: Path, quota: str, quota_above: str, expected: int) -> None:
    (group / "cpu.max").write_text(quota)
    (group.parent / "cpu.max").write_text(quota_above)
    assert cpu.usable_cores() == expected


def test_kernel_without_control_groups(group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", Mock(side_effect=FileNotFoundError))
    assert cpu.usable_cores() == 8


def test_this_machine() -> None:
    assert cpu.usable_cores() >= 1
    assert len(cpu.processor_name()) > len("CPU ()")


@pytest.mark.parametrize(
    ("machine", "flags", "is_exact", "has_bfloat16"),
    [
        ("x86_64", "fpu avx2 fma", False, False),
        ("x86_64", "fpu avx2 avx512f avx512_vnni avx512_bf16", True, False),
        ("x86_64", "fpu avx2 avx_vnni", True, False),
        ("x86_64", "fpu avx512_vnni amx_bf16 amx_tile amx_int8", True, True),
        ("aarch64", "", True, False),
    ],
)
def test_fast_products_by_processor_flags(
    monkeypatch: pytest.MonkeyPatch, machine: str, flags: str, is_exact: bool, has_bfloat16: bool
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"processor\t: 0\nflags\t\t: {flags}\n")
    assert cpu.has_exact_byte_products() is is_exact
    assert cpu.has_bfloat16_products() is has_bfloat16
