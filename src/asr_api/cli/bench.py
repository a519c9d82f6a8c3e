"""`asr-api bench`: a table on stderr, row by row as it is measured, then one line of JSON on stdout."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict

from asr_api.audio.sources.spool import Spool
from asr_api.benchmark.measure import Benchmark, Measurement, best_slots
from asr_api.benchmark.speech import MINUTE
from asr_api.cli.exit_codes import ExitCode
from asr_api.cli.open_source import open_source
from asr_api.cli.output import print_error, print_out
from asr_api.cli.sources import list_sources
from asr_api.compose import default_options
from asr_api.engines.cpu import usable_cores
from asr_api.errors import InvalidParameter, RequestError
from asr_api.parameters import RawParameter, read_parameters
from asr_api.settings.settings import Settings

QUICK = 1 / 3
NAMES = {"file": "one file of {} s", "clients": "{} at once", "slots": "BATCH_SIZE={}"}
HEADER = f"{'':<20}{'RTFx':>7}{'range':>15}{'p50':>9}{'p95':>9}{'memory':>10}   CPU: engine, decoders, rest"
LEGEND = "RTFx: seconds of audio in a second. p50 and p95: time of the file, of a clip of 10 s, or of a window of 28 s."


async def bench(settings: Settings, arguments: argparse.Namespace, parameters: Sequence[RawParameter]) -> ExitCode:
    """Raises StartupError or InvalidParameter."""
    options = read_parameters(parameters, default_options(settings)).transcribe
    source = list_sources([arguments.recording or str(MINUTE)])[0]
    slots, time_s = ((), QUICK * arguments.seconds) if arguments.quick else (arguments.slots, arguments.seconds)
    benchmark = Benchmark(settings, options, arguments.clients, slots, time_s)
    try:
        async with await open_source(source, settings) as spool:
            rows = await _measure(benchmark, spool)
    except InvalidParameter:
        raise
    except RequestError as error:
        print_error(f"{source.name}: {error}")
        return ExitCode.SOURCE_FAILED
    best = best_slots(rows)
    if best is not None:
        _print(f"Best: BATCH_SIZE={best}, the fewest slots that are as fast as any others (within 5%).")
    _print(*benchmark.notes, LEGEND)
    findings = {name: getattr(benchmark.info, name) for name in ("model_id", "engine", "device_name", "n_slots")}
    findings |= {"num_cores": usable_cores(), "load_s": benchmark.load_s, "best_slots": best}
    findings |= {"rows": [asdict(row) for row in rows], "notes": benchmark.notes}
    print_out(json.dumps(findings, ensure_ascii=False) + "\n")
    return ExitCode.OK


async def _measure(benchmark: Benchmark, recording: Spool) -> list[Measurement]:
    """Prints each row as it is measured."""
    rows: list[Measurement] = []
    async with aclosing(benchmark.rows(recording)) as measured:
        async for row in measured:
            if not rows:
                info = benchmark.info
                engine = f"{info.engine} engine, {info.n_slots} slots, {usable_cores()} cores"
                _print(f"{info.model_id} on {info.device_name} ({engine}), ready after {benchmark.load_s:.1f} s")
                _print(*info.notes, HEADER)
            rows.append(row)
            _print(_formatted(row))
    return rows


def _formatted(row: Measurement) -> str:
    total_s = sum(row.cpu_s.values()) or 1.0
    shares = ", ".join(f"{seconds / total_s:.0%}" for seconds in row.cpu_s.values())
    range_ = f"{row.rtfx_range[0]:.1f} to {row.rtfx_range[1]:.1f}"
    speed = f"{NAMES[row.kind].format(row.number):<20}{row.rtfx:>7.1f}{range_:>15}"
    return f"{speed}{row.p50_s:>7.2f} s{row.p95_s:>7.2f} s{row.peak_bytes / 1e6:>7,.0f} MB   {shares}"


def _print(*lines: str) -> None:
    sys.stderr.writelines(f"{line}\n" for line in lines)
    sys.stderr.flush()
