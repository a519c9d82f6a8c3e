"""benchmarks/peers with engines that are none: what is measured, how it is told, what becomes of those that fail."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.peers import control
from benchmarks.peers.catalogue import CATALOGUE
from benchmarks.peers.measure import Outcome, Plan, Series, Turn, measure
from benchmarks.peers.picture import picture
from benchmarks.peers.report import from_json, json_line, panel, report, table
from tests.benchmarks.fake_peers import ABSENT, FAKES, MORTAL, QUICK, SLOW
from tests.server.running import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what it takes")


def test_each_engine_has_its_turn_in_each_round_and_a_failure_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("from tests.benchmarks.fake_peers import install\ninstall()\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    monkeypatch.setattr(control, "control_gflops", lambda: 100.0)
    for name, fake in FAKES.items():
        monkeypatch.setitem(CATALOGUE, name, fake)
    plan = Plan(tuple(FAKES), tmp_path / "any.wav", num_rounds=2, num_threads=1, lock=tmp_path / "lock")
    outcome = measure(plan, tmp_path, tmp_path)
    assert outcome.failures == {ABSENT: "ModuleNotFoundError: no such engine", MORTAL: "what engines print"}
    assert {name: len(series.turns) for name, series in outcome.series.items()} == {QUICK: 2, SLOW: 2}
    for name, series in outcome.series.items():
        assert series.peak_bytes > 2_000_000
        assert all(turn.seconds >= FAKES[name].seconds for turn in series.turns)
        assert {(turn.control_gflops, turn.num_windows, turn.num_tokens) for turn in series.turns} == {(100, 20, 2_000)}


def series(*seconds: float) -> Series:
    return Series(300 << 20, [Turn(90, each, 20, 2_000) for each in seconds])


def test_what_was_measured_is_a_table_a_line_and_a_picture() -> None:
    # The last round was slow for all: ratios of one round do not see it, and those of medians would.
    outcome = Outcome({QUICK: series(1, 2, 8), SLOW: series(3, 4, 16)}, {ABSENT: "it is <not> there"})
    rows = panel("tiny", outcome, audio_s=60).rows
    assert [(row.engine, row.rtfx, row.rtfx_rounds) for row in rows[:2]] == [
        (QUICK, 30, [60, 30, 7.5]),
        (SLOW, 15, [20, 15, 3.8]),
    ]
    assert rows[0].ratios == {SLOW: 2.0}
    told = report([panel("tiny", outcome, 60)], "any.wav", 60)
    assert from_json(json_line(told)) == told
    lines = table(told).splitlines()
    assert f"| {QUICK} | 30.0 | 7.5 to 60.0 | 20 | 2000 | 100.0 | 300 | 90 |" in lines
    assert f"| {ABSENT} | not measured: it is <not> there |" in lines
    assert lines[-2:] == [f"| {QUICK} | 2.00 |", f"| {SLOW} | 1.00 |"]
    drawn = ElementTree.fromstring(picture([told]))
    bars = drawn.findall("{*}rect")
    assert [bar.get("class") for bar in bars] == ["ours", "bar"]
    assert float(bars[0].get("width", 0)) == pytest.approx(2 * float(bars[1].get("width", 0)), abs=0.1)
