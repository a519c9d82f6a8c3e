"""Figures of a run: medians, ratios, the table in markdown and the line of JSON.

A ratio compares two turns of the same round; the median over the rounds is reported.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from benchmarks.peers.catalogue import BASELINES, CATALOGUE
from benchmarks.peers.measure import Outcome, Series


@dataclass(frozen=True, slots=True)
class Row:
    """One engine. ratios: how many times as fast as each baseline; failure: why there are no rounds"""

    engine: str
    rtfx: float = 0.0
    rtfx_rounds: list[float] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    num_windows: int = 0
    num_tokens: int = 0
    peak_memory_mib: int = 0
    control_gflops: float = 0.0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One shape of checkpoint."""

    shape: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Report:
    machine: str
    date: str
    versions: dict[str, str]
    recording: str
    audio_s: float
    panels: list[Panel]


def report(panels: list[Panel], recording: str, audio_s: float) -> Report:
    engines = {row.engine for panel in panels for row in panel.rows}
    packages = sorted({CATALOGUE[engine].package for engine in engines})
    versions = {package: version_of(package) for package in packages}
    return Report(machine(), date.today().isoformat(), versions, recording, audio_s, panels)


def panel(shape: str, outcome: Outcome, audio_s: float) -> Panel:
    rows = [row(engine, outcome.series, audio_s) for engine in outcome.series]
    rows.sort(key=lambda measured: -measured.rtfx)
    return Panel(shape, rows + [Row(engine, failure=reason) for engine, reason in outcome.failures.items()])


def row(engine: str, series: dict[str, Series], audio_s: float) -> Row:
    turns = series[engine].turns
    ratios = {
        baseline: median(
            theirs.seconds / ours.seconds for theirs, ours in zip(series[baseline].turns, turns, strict=True)
        )
        for baseline in BASELINES
        if baseline in series
    }
    rates = [audio_s / turn.seconds for turn in turns]
    return Row(
        engine,
        rtfx=round(median(rates), 1),
        rtfx_rounds=[round(rate, 1) for rate in rates],
        ratios={baseline: round(ratio, 2) for baseline, ratio in ratios.items()},
        num_windows=round(median(turn.num_windows for turn in turns)),
        num_tokens=round(median(turn.num_tokens for turn in turns)),
        peak_memory_mib=series[engine].peak_bytes >> 20,
        control_gflops=round(median(turn.control_gflops for turn in turns)),
    )


def machine() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 – no path of ours
        lines = file.read().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    flags = next((line.split() for line in lines if line.startswith(("flags", "Features"))), [])
    known = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "amx_int8": "AMX", "asimddp": "DotProd"}
    extensions = ", ".join(word for flag, word in known.items() if flag in flags)
    name = names[0] if names else platform.machine()
    return f"{len(os.sched_getaffinity(0))} cores of {name} ({extensions})"


def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"


def table(report: Report) -> str:
    lines = [f"{report.machine}, {report.date}", f"{report.audio_s:.0f} s of {report.recording}"]
    lines.append(", ".join(f"{package} {number}" for package, number in report.versions.items()))
    for panel in report.panels:
        lines += ["", *markdown(panel)]
    return "\n".join(lines)


def markdown(panel: Panel) -> Iterable[str]:
    measured = [row for row in panel.rows if not row.failure]
    heads = ["RTFx", "rounds", "windows", "text tokens", "a window", "MiB", "control"]
    yield from lines_of(f"whisper-{panel.shape}", heads, {row.engine: figures(row) for row in measured})
    yield from (f"| {row.engine} | not measured: {row.failure} |" for row in panel.rows if row.failure)
    baselines = [baseline for baseline in BASELINES if any(baseline in row.ratios for row in measured)]
    ratios = {row.engine: [f"{row.ratios[baseline]:.2f}" for baseline in baselines] for row in measured}
    if baselines:
        yield from ["", *lines_of("times as fast as", baselines, ratios)]


def lines_of(corner: str, heads: list[str], cells: dict[str, list[str]]) -> Iterable[str]:
    yield f"| {corner} | " + " | ".join(heads) + " |"
    yield "|---" * (1 + len(heads)) + "|"
    yield from (f"| {name} | " + " | ".join(row) + " |" for name, row in cells.items())


def figures(row: Row) -> list[str]:
    rounds = f"{min(row.rtfx_rounds)} to {max(row.rtfx_rounds)}"
    tokens_per_window = f"{row.num_tokens / max(row.num_windows, 1):.1f}"
    counts = [str(row.num_windows), str(row.num_tokens), tokens_per_window, str(row.peak_memory_mib)]
    return [f"{row.rtfx}", rounds, *counts, f"{row.control_gflops:.0f}"]


def json_line(report: Report) -> str:
    return json.dumps(asdict(report))


def from_json(line: str) -> Report:
    fields = json.loads(line)
    fields["panels"] = [Panel(panel["shape"], [Row(**row) for row in panel["rows"]]) for panel in fields["panels"]]
    return Report(**fields)
