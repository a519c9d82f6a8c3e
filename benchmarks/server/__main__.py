"""Measures a server over HTTP: one that is running (--url), or one that is started here and stopped afterwards.

    MODEL_ID=builtin python -m benchmarks.server files FOLDER|LIST|FILE [--csv rows.csv]
    MODEL_ID=builtin python -m benchmarks.server load [--clients 32] [--clips 96] [--rounds 3]
    MODEL_ID=builtin python -m benchmarks.server beside [--long-s 10800] [--num 40]
    MODEL_ID=builtin python -m benchmarks.server memory [--slots 1,4,16,32] [--clip-s 30]

files:  each file of a folder, or each path or link of a list, is posted to /asr; RTFx = audio / round trip
load:   clips of 5 to 15 s from many clients at once, compared with the same audio as one long file and, if the server
        is started here, with the same clips offline: in this process without HTTP, as `asr-api transcribe` does it
beside: the latency of a 5 s clip alone, and while a long file is transcribed
memory: of the engine process and of all others, for several values of BATCH_SIZE, each with a server of its own:
        after loading, and while every slot is at work
A server that is started takes its settings from the environment. The output is a table, then one line of JSON.
Needs psutil: .venv/bin/python -m pip install -e '.[bench]'
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

from asr_api.benchmark.machine import peak_memory
from asr_api.benchmark.speech import MINUTE
from benchmarks.server.beside import BesideReport, measure_beside
from benchmarks.server.client import connected
from benchmarks.server.files import FilesReport, measure_files
from benchmarks.server.load import LoadReport, measure_load
from benchmarks.server.memory import measure_memory
from benchmarks.server.offline import open_offline
from benchmarks.server.process import started_server


def main() -> int:
    arguments = parse_arguments()
    peak_mb = None
    try:
        if arguments.method == "memory":
            return measure_slots(arguments)
        if arguments.url:
            report = asyncio.run(measure(arguments, arguments.url, is_started_here=False))
        else:
            with started_server() as (url, pid), peak_memory(pid) as peak_bytes:
                report = asyncio.run(measure(arguments, url, is_started_here=True))
            peak_mb = round(peak_bytes() / 1e6)
            print(f"peak memory of the server's processes: {peak_mb} MB")
    except KeyboardInterrupt:
        return 130
    model_id = None if arguments.url else os.environ.get("MODEL_ID", "builtin")  # unknown for a running server
    print(json.dumps({"method": arguments.method, "model_id": model_id, **asdict(report), "peak_mb": peak_mb}))
    return 0


def measure_slots(arguments: argparse.Namespace) -> int:
    slots = [int(number) for number in arguments.slots.split(",")]
    report = asyncio.run(measure_memory(arguments.audio, arguments.query, slots, arguments.clip_s, arguments.rounds))
    print(json.dumps({"method": "memory", "model_id": os.environ.get("MODEL_ID", "builtin"), **asdict(report)}))
    return 0


async def measure(
    arguments: argparse.Namespace, url: str, *, is_started_here: bool
) -> FilesReport | LoadReport | BesideReport:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(connected(url, arguments.query))
        if arguments.method == "files":
            return await measure_files(server, arguments.source, arguments.clients, arguments.rounds, arguments.csv)
        if arguments.method == "beside":
            return await measure_beside(
                server, arguments.audio, arguments.num, arguments.long_s, is_whole=arguments.whole
            )
        offline = (
            await stack.enter_async_context(open_offline(arguments.query, arguments.clients))
            if is_started_here
            else None
        )
        return await measure_load(
            server, offline, arguments.audio, arguments.clients, arguments.clips, arguments.rounds
        )


def parse_arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__, formatter_class=formatter)
    methods = parser.add_subparsers(dest="method", required=True)
    files, load, beside, memory = (methods.add_parser(name) for name in ("files", "load", "beside", "memory"))
    for method in (files, load, beside):
        method.add_argument("--url", help="of a running server with RESULT_CACHE_S=0; without it one is started")
    for method in (files, load, beside, memory):
        method.add_argument("--query", action="append", default=[], metavar="NAME=VALUE", help="such as language=en")
    for method, clients, rounds in ((files, 1, 1), (load, 32, 3)):
        method.add_argument("--clients", type=int, default=clients)
        method.add_argument("--rounds", type=int, default=rounds)
    for method in (load, beside, memory):
        method.add_argument("--audio", type=Path, default=MINUTE, help="the recording that clips are cut from")
    files.add_argument("source", type=Path)
    files.add_argument("--csv", type=Path, help="file for one row per file")
    load.add_argument("--clips", type=int, default=96)
    beside.add_argument("--num", type=int, default=40, help="clips that are sent one by one")
    beside.add_argument("--long-s", type=float, default=3 * 3600)
    memory.add_argument("--slots", default="1,4,16,32", help="values of BATCH_SIZE (%(default)s)")
    memory.add_argument("--clip-s", type=float, default=30.0, help="length of a clip (%(default)s)")
    memory.add_argument("--rounds", type=int, default=2, help="clips from each client (%(default)s)")
    beside.add_argument("--whole", action="store_true", help="also wait for the long file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
