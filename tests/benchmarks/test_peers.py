"""benchmarks/peers with fake engines: turns, failures, and the table, line of JSON and picture of a report."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.peers import control
from benchmarks.peers.catalogue import CATALOGUE
from benchmarks.peers.measure import Outcome, Plan, Series, Turn, measure
from benchmarks.peers.picture import picture
from benchmarks.peers.report import from_json, json_line, panel, report, table
from tests.benchmarks.fake_peers import EXITING, FAKES, FAST, MISSING, SLOW
from tests.server.running import ROOT


def test_each_engine_has_a_turn_in_each_round(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("from tests.benchmarks.fake_peers import install\ninstall()\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    monkeypatch.setattr(control, "control_gflops", lambda: 100.0)
    for name, peer in FAKES.items():
        monkeypatch.setitem(CATALOGUE, name, peer)
    plan = Plan(tuple(FAKES), tmp_path / "any.wav", num_rounds=2, num_threads=1, lock=tmp_path / "lock")
    outcome = measure(plan, tmp_path, tmp_path)
    assert outcome.failures == {MISSING: "ModuleNotFoundError: no such engine", EXITING: "output of an engine"}
    assert {name: len(series.turns) for name, series in outcome.series.items()} == {FAST: 2, SLOW: 2}
    for name, series in outcome.series.items():
        assert series.peak_bytes > 2_000_000
        assert all(turn.seconds >= FAKES[name].seconds for turn in series.turns)
        assert {(turn.control_gflops, turn.num_windows, turn.num_tokens) for turn in series.turns} == {(100, 20, 2_000)}


def series_of(*turns_s: float) -> Series:
    return Series(300 << 20, [Turn(90, turn_s, 20, 2_000) for turn_s in turns_s])


def test_a_report_is_a_table_a_line_of_json_and_a_picture() -> None:
    # The last round was slow for all engines: ratios within a round are not affected, ratios of medians would be.
    outcome = Outcome({FAST: series_of(1, 2, 8), SLOW: series_of(3, 4, 16)}, {MISSING: "it is <not> installed"})
    rows = panel("tiny", outcome, audio_s=60).rows
    figures = [(row.engine, row.rtfx, row.rtfx_rounds) for row in rows[:2]]
    assert figures == [(FAST, 30, [60, 30, 7.5]), (SLOW, 15, [20, 15, 3.8])]
    assert rows[0].ratios == {SLOW: 2.0}
    result = report([panel("tiny", outcome, 60)], "any.wav", 60)
    assert from_json(json_line(result)) == result
    lines = table(result).splitlines()
    assert f"| {FAST} | 30.0 | 7.5 to 60.0 | 20 | 2000 | 100.0 | 300 | 90 |" in lines
    assert f"| {MISSING} | not measured: it is <not> installed |" in lines
    assert lines[-2:] == [f"| {FAST} | 2.00 |", f"| {SLOW} | 1.00 |"]
    svg = ElementTree.fromstring(picture([result]))
    bars = svg.findall("{*}rect")
    assert [bar.get("class") for bar in bars] == ["ours", "bar"]
    assert float(bars[0].get("width", 0)) == pytest.approx(2 * float(bars[1].get("width", 0)), abs=0.1)
