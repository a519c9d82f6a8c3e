"""How fast is a server over HTTP? Against one that runs (--url), or one that is started here and ended.

    MODEL_ID=builtin python -m benchmarks.server files FOLDER|LIST|FILE [--csv rows.csv]
    MODEL_ID=builtin python -m benchmarks.server load [--clients 32] [--clips 96] [--rounds 3]
    MODEL_ID=builtin python -m benchmarks.server beside [--long-s 10800] [--num 40]

files:  each file of a folder, or each path or link of a list, is posted to /asr; realtime multiple = audio / round trip
load:   clips of 5 to 15 s from many clients at once, against the same audio as one long file and, where the server is
        started here, against the same clips offline: as `asr-api transcribe` hears them, without HTTP
beside: the latency of a 5 s clip alone, and while a long file runs
Settings of a server that is started come from the environment. A table, then one line of JSON.
"""

# ruff: noqa: T201 – a program that prints a table

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

from asr_api.benchmark.machine import PeakMemory
from asr_api.benchmark.speech import MINUTE
from benchmarks.server.beside import BesideReport, measure_beside
from benchmarks.server.client import connected
from benchmarks.server.files import FilesReport, measure_files
from benchmarks.server.load import LoadReport, measure_load
from benchmarks.server.offline import open_offline
from benchmarks.server.process import started_server


def main() -> int:
    wishes = arguments()
    try:
        if wishes.url:
            report = asyncio.run(measure(wishes, wishes.url, is_ours=False))
            peak_mb = None
        else:
            with started_server() as (url, pid), PeakMemory(pid) as memory:
                report = asyncio.run(measure(wishes, url, is_ours=True))
            peak_mb = None if memory.peak_bytes is None else round(memory.peak_bytes / 1e6)
            print(f"peak memory of the server's processes: {peak_mb} MB")
    except KeyboardInterrupt:
        return 130
    model_id = None if wishes.url else os.environ.get("MODEL_ID", "builtin")  # of another's server it is unknown
    print(json.dumps({"method": wishes.method, "model_id": model_id, **asdict(report), "peak_mb": peak_mb}))
    return 0


async def measure(wishes: argparse.Namespace, url: str, *, is_ours: bool) -> FilesReport | LoadReport | BesideReport:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(connected(url, wishes.query))
        if wishes.method == "files":
            return await measure_files(server, wishes.source, wishes.clients, wishes.rounds, wishes.csv)
        if wishes.method == "beside":
            return await measure_beside(server, wishes.audio, wishes.num, wishes.long_s, is_whole=wishes.whole)
        offline = await stack.enter_async_context(open_offline(wishes.query, wishes.clients)) if is_ours else None
        return await measure_load(server, offline, wishes.audio, wishes.clients, wishes.clips, wishes.rounds)


def arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__, formatter_class=formatter)
    methods = parser.add_subparsers(dest="method", required=True)
    files, load, beside = (methods.add_parser(name) for name in ("files", "load", "beside"))
    for method in (files, load, beside):
        method.add_argument("--url", help="of a server that runs; else one is started, and ended")
        method.add_argument("--query", action="append", default=[], metavar="NAME=VALUE", help="such as language=en")
    for method, clients, rounds in ((files, 1, 1), (load, 32, 3)):
        method.add_argument("--clients", type=int, default=clients)
        method.add_argument("--rounds", type=int, default=rounds)
    for method in (load, beside):
        method.add_argument("--audio", type=Path, default=MINUTE, help="a recording to cut clips from")
    files.add_argument("source", type=Path)
    files.add_argument("--csv", type=Path, help="where to write a row for each file")
    load.add_argument("--clips", type=int, default=96)
    beside.add_argument("--num", type=int, default=40, help="of clips that are sent one by one")
    beside.add_argument("--long-s", type=float, default=3 * 3600)
    beside.add_argument("--whole", action="store_true", help="wait for the long file as well")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
