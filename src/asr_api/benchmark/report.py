"""Findings → a table for people, line by line, and one line of JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict

from asr_api.benchmark.figures import ClipFigures, FileFigures, Findings, Rate, SlotFigures
from asr_api.benchmark.machine import CpuUse
from asr_api.engines.protocol import EngineInfo

SIGNIFICANT = 5  # digits; more would be noise
HEADER = f"{'':<24}{'RTFx':>8}{'spread':>8}{'p50':>9}{'p95':>9}{'clips':>7}   CPU time: engine, decoding, rest"


def opening(info: EngineInfo, num_cores: int, load_s: float) -> str:
    slots = f"{info.n_slots} slots, {num_cores} cores"
    return f"{info.model_id} on {info.device_name} ({info.engine} engine, {slots}), ready after {load_s:.1f} s"


def row(found: FileFigures | ClipFigures | SlotFigures) -> str:
    match found:
        case FileFigures():
            cells = f"{'':>9}{'':>9}{'':>7}{_cpu(found.cpu)}"
            return _row(f"one file of {found.audio_s / 60:.0f} min", found.rate, cells)
        case ClipFigures():
            cells = f"{found.p50_s:>7.2f} s{found.p95_s:>7.2f} s{found.num_clips:>7}{_cpu(found.cpu)}"
            return _row(f"{found.num_clients} at once", found.rate, cells)
        case SlotFigures():
            return _row(f"BATCH_SIZE={found.num_slots}", found.rate, f"   {_megabytes(found.peak_bytes)}")


def _row(name: str, rate: Rate, cells: str) -> str:
    spread = "" if rate.spread is None else f"±{100 * rate.spread:.0f}%"
    return f"{name:<24}{rate.rtfx:>7.1f}x{spread:>8}{cells}".rstrip()


def _cpu(use: CpuUse | None) -> str:
    if use is None:
        return ""
    total_s = max(1e-9, use.engine_s + use.decoders_s + use.service_s)
    shares = (100 * part_s / total_s for part_s in (use.engine_s, use.decoders_s, use.service_s))
    return "   " + ", ".join(f"{share:.0f}%" for share in shares)


def _megabytes(num_bytes: int | None) -> str:
    return "" if num_bytes is None else f"peak {num_bytes / 1e6:,.0f} MB"


def closing(findings: Findings) -> str:
    """The last lines for people."""
    lines = []
    if findings.best_slots is not None:
        by_slots = {found.num_slots: found.rate.rtfx for found in findings.slots}
        lines.append(
            f"Best: BATCH_SIZE={findings.best_slots}, the fewest slots that are as fast as any, within the noise "
            f"of ±{100 * findings.noise:.0f}%."
        )
        own = by_slots.get(findings.num_slots)
        if own is not None and own < (1 - findings.noise) * by_slots[findings.best_slots]:
            gain = by_slots[findings.best_slots] / own - 1
            lines.append(f"That is {100 * gain:.0f}% faster than the {findings.num_slots} slots that are set.")
    if findings.peak_bytes is not None:
        lines.append(f"Memory of all processes: {_megabytes(findings.peak_bytes)} with {findings.num_slots} slots.")
    lines += findings.notes
    lines.append(f"Took {findings.took_s:.0f} s. RTFx is seconds of audio per second; spread, of the parts of a run.")
    return "\n".join(lines)


def to_json(findings: Findings) -> str:
    """One line, without line break; field names are those of `Findings`."""
    return json.dumps(_rounded(asdict(findings)), ensure_ascii=False)


def _rounded(value: object) -> object:
    match value:
        case float():
            return float(f"{value:.{SIGNIFICANT}g}")
        case dict():
            return {key: _rounded(part) for key, part in value.items()}
        case list() | tuple():
            return [_rounded(part) for part in value]
    return value
