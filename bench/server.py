"""How fast is a server over HTTP? Against one that runs (--url), or one that this script starts and ends.

    PYTHONPATH=src MODEL_ID=builtin python bench/server.py files FOLDER|LIST|FILE [--csv rows.csv]
    PYTHONPATH=src MODEL_ID=builtin python bench/server.py load [--clients 32] [--clips 96] [--rounds 3]
    PYTHONPATH=src MODEL_ID=builtin python bench/server.py beside [--long-s 10800] [--num 40]

files:  each file of a folder, or each path or link of a list, is posted to /asr; realtime multiple = audio / round trip
load:   clips of 5 to 15 s from many clients at once, against the same audio as one long file, in turns
beside: the latency of a 5 s clip alone, and while a long file runs
Settings of a server that is started come from the environment. A table, then one line of JSON.
"""

# ruff: noqa: ASYNC110, ASYNC240, S113, T201 – a script: it polls, waits as long as it takes, and prints a table

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import chain
from pathlib import Path

import httpx
import numpy as np

from asr_api.audio.decode import Decoder
from asr_api.audio.source import MediaPolicy, open_named
from asr_api.bench.machine import PeakMemory
from asr_api.bench.speech import MINUTE, cut_clips, looped, read_pcm, wav, wav_header
from asr_api.cli.files import AUDIO_SUFFIXES
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

CLIPS_S, LATENCY_CLIP_S, WINDOW_S = (5.0, 15.0), 5.0, 30.0
MAX_RETRY_S, MAX_TRIES = 5.0, 60
BLOCK_SAMPLES = 2**19
MAX_LOG_BYTES = 4000
SHOWN = ("windows", "tokens")  # counters of the server that tell how much work the audio was
Report = dict[str, object]


@dataclass(frozen=True, slots=True)
class Reply:
    """elapsed_s: round trip, refusals and waiting included; processing_s: as the server says; num_refused: 429s"""

    name: str
    status: int
    audio_s: float
    elapsed_s: float
    processing_s: float
    num_refused: int = 0
    error: str = ""


class Server:
    """A server as its clients see it."""

    def __init__(self, http: httpx.AsyncClient, query: dict[str, str], pid: int | None) -> None:
        self.pid = pid
        self._http = http
        self._query = query

    async def post(self, name: str, body: bytes | AsyncIterator[bytes] | dict[str, str]) -> Reply:
        """Sends it until it is not refused; a stream, only once."""
        given = {"json": body} if isinstance(body, dict) else {"content": body}
        started_s, num_refused = time.perf_counter(), 0
        for _ in range(MAX_TRIES if isinstance(body, bytes | dict) else 1):
            try:
                reply = await self._http.post("/asr", params=self._query, **given)
            except httpx.HTTPError as error:
                return Reply(name, 0, 0, time.perf_counter() - started_s, 0, num_refused, f"{type(error).__name__}")
            if reply.status_code != 429:
                break
            num_refused += 1
            await asyncio.sleep(min(MAX_RETRY_S, float(reply.headers.get("retry-after", 1))))
        elapsed_s = time.perf_counter() - started_s
        audio_s, took_s = (float(reply.headers.get(key, 0)) for key in ("x-audio-length", "x-processing-time"))
        error = "" if reply.status_code == 200 else reply.text[:200]
        return Reply(name, reply.status_code, audio_s, elapsed_s, took_s, num_refused, error)

    async def count(self, name: str) -> float:
        page = (await self._http.get("/metrics")).text
        found = re.search(rf"^asr_{name}_total (\S+)$", page, re.MULTILINE)
        return float(found[1]) if found else 0.0


# -- what is measured --------------------------------------------------------------------------------------------


async def measure_files(server: Server, arguments: argparse.Namespace) -> Report:
    """The original's method: one after the other, or --clients at once."""
    bodies = list_bodies(arguments.source)
    queue = iter(bodies * arguments.rounds)
    started_s = time.perf_counter()

    async def client() -> list[Reply]:
        return [await send_named(server, name) for name in queue]

    await send_named(server, bodies[0])  # warm-up
    started_s = time.perf_counter()
    replies = [*chain(*await asyncio.gather(*(client() for _ in range(arguments.clients))))]
    wall_s = time.perf_counter() - started_s
    for reply in replies[: 20 if len(replies) > 40 else None]:
        rtfx = reply.audio_s / reply.elapsed_s
        print(f"{reply.audio_s:>9.1f} s in {reply.elapsed_s:>8.2f} s  {rtfx:>7.1f}x  {reply.error or reply.name}")
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*(field.name for field in fields(Reply)), "rtfx"])
            writer.writeheader()
            writer.writerows({**asdict(reply), "rtfx": reply.audio_s / reply.elapsed_s} for reply in replies)
    good = [reply.audio_s / reply.elapsed_s for reply in replies if reply.status == 200]
    multiples = {"rtfx_mean": statistics.fmean(good), "rtfx_median": statistics.median(good)} if good else {}
    return {"clients": arguments.clients, **summary(replies, wall_s), **multiples}


async def measure_load(server: Server, arguments: argparse.Namespace) -> Report:
    """Rounds of: all clips from many clients, all of it as one file."""
    clips = cut_clips(await read_recording(arguments.audio), arguments.clips, CLIPS_S)
    bodies = [wav(clip) for clip in clips]
    whole = wav(np.concatenate(clips))
    await asyncio.gather(*(server.post("warm-up", body) for body in bodies[: arguments.clients]))
    many, alone = [], []
    for number in range(arguments.rounds):
        many.append(
            await counted(server, f"round {number + 1}, {arguments.clients} clients", bodies, arguments.clients)
        )
        alone.append(await counted(server, f"round {number + 1}, one file", [whole], 1))
    report: Report = {"clients": arguments.clients, "clips": len(clips), "rounds": arguments.rounds}
    for name in ("rtfx", "windows_per_s", "tokens_per_s"):
        here, there = ([float(str(each[name])) for each in runs] for runs in (many, alone))
        report |= {f"clips_{name}": here, f"file_{name}": there}
        report[f"ratio_{name}"] = ratio = statistics.median(here) / max(1e-9, statistics.median(there))
        print(f"{name:<14} clips {statistics.median(here):>8.2f}   file {statistics.median(there):>8.2f}   {ratio:.2f}")
    return report | {"clip_runs": many, "file_runs": alone}


async def counted(server: Server, name: str, bodies: Sequence[bytes], num_clients: int) -> Report:
    """All bodies, from so many clients, with what the server counted meanwhile."""
    before = [await server.count(counter) for counter in SHOWN]
    queue = iter(bodies)

    async def client() -> list[Reply]:
        return [await server.post(name, body) for body in queue]

    started_s = time.perf_counter()
    replies = [*chain(*await asyncio.gather(*(client() for _ in range(num_clients))))]
    wall_s = time.perf_counter() - started_s
    report = summary(replies, wall_s)
    for counter, was in zip(SHOWN, before, strict=True):
        report[f"{counter}_per_s"] = (await server.count(counter) - was) / wall_s
    print_summary(name, report)
    return report


async def measure_beside(server: Server, arguments: argparse.Namespace) -> Report:
    """Alone, beside the long file, alone again. One window is what a file of 30 s takes alone."""
    pcm = await read_recording(arguments.audio)
    clips = [wav(clip) for clip in cut_clips(pcm, arguments.num, (LATENCY_CLIP_S, LATENCY_CLIP_S))]
    windows = [wav(window) for window in cut_clips(pcm, 5, (WINDOW_S, WINDOW_S))]
    await one_by_one(server, [*clips[:3], *windows[:1]])
    alone, window = await one_by_one(server, clips), await one_by_one(server, windows)
    long_file = asyncio.create_task(server.post("long", streamed(pcm, round(arguments.long_s * SAMPLE_RATE_HZ))))
    try:
        was = await server.count("windows")
        while await server.count("windows") < was + 8 and not long_file.done():
            await asyncio.sleep(0.2)
        beside = await one_by_one(server, clips, until=long_file, gap_s=0.23)
        if arguments.whole:
            await long_file
    finally:
        long_file.cancel()
        ended = await asyncio.gather(long_file, return_exceptions=True)
    await asyncio.sleep(1)
    again = await one_by_one(server, clips)
    report: Report = {"long_s": arguments.long_s}
    for name, replies in {"alone": alone, "window": window, "beside": beside, "again": again}.items():
        report[name] = found = summary(replies, sum(reply.elapsed_s for reply in replies))
        print_summary(name, found)
    limit_s = percentile(alone, 50) + percentile(window, 50)
    report |= {"limit_s": limit_s, "is_met": percentile(beside, 95) <= limit_s}
    print(f"p95 beside {percentile(beside, 95):.3f} s; alone (p50) + one window (p50) = {limit_s:.3f} s")
    if isinstance(ended[0], Reply):  # it was waited for, or it was over before the clips were
        report["long"] = asdict(ended[0])
        print(f"the long file ended with {ended[0].status} after {ended[0].elapsed_s:.1f} s {ended[0].error}")
    return report


async def one_by_one(
    server: Server, clips: Sequence[bytes], until: asyncio.Task[Reply] | None = None, gap_s: float = 0.0
) -> list[Reply]:
    """Until there are no more, or the task is done. gap_s: between two, so that they meet all phases of a batch"""
    replies = []
    for clip in clips:
        if until is not None and until.done():
            break
        replies.append(await server.post("clip", clip))
        await asyncio.sleep(gap_s)
    return replies


# -- figures -----------------------------------------------------------------------------------------------------


def summary(replies: Sequence[Reply], wall_s: float) -> Report:
    good = [reply for reply in replies if reply.status == 200]
    audio_s = sum(reply.audio_s for reply in good)
    return {
        "num": len(good),
        "audio_s": audio_s,
        "wall_s": wall_s,
        "rtfx": audio_s / wall_s if wall_s else 0.0,
        **{f"p{share}_s": percentile(good, share) for share in (50, 95, 99)},
        "refused": sum(reply.num_refused for reply in replies),
        "errors": sorted({f"{reply.status} {reply.error}" for reply in replies if reply.status != 200}),
        "num_errors": len(replies) - len(good),
    }


def percentile(replies: Sequence[Reply], share: int) -> float:
    """Of the round trips, the nearest that was measured."""
    times = sorted(reply.elapsed_s for reply in replies)
    return times[min(len(times) - 1, -(-len(times) * share // 100) - 1)] if times else float("nan")


def print_summary(name: str, report: Report) -> None:
    print(
        "{name:<22} {num:>4} ok {num_errors:>3} failed {refused:>3} refused  {audio_s:>8.1f} s in {wall_s:>7.2f} s"
        "  {rtfx:>6.1f}x  p50 {p50_s:.3f}  p95 {p95_s:.3f}  p99 {p99_s:.3f} s".format(name=name, **report),
        flush=True,
    )
    for error in report["errors"] if isinstance(report["errors"], list) else ():
        print("   ", error)


# -- audio -------------------------------------------------------------------------------------------------------


def list_bodies(source: Path) -> list[str]:
    """The audio files of a folder, the lines of a text file, or the file itself."""
    if source.is_dir():
        names = sorted(str(path) for path in source.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    elif source.suffix.lower() in AUDIO_SUFFIXES:
        names = [str(source)]
    else:
        lines = source.read_text(encoding="utf-8").splitlines()
        names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not names:
        sys.exit(f"{source} names no audio; give a folder of audio files, or a text file with a path or link a line.")
    return names


async def send_named(server: Server, name: str) -> Reply:
    if "://" in name:
        return await server.post(name, {"url": name})
    return await server.post(name, Path(name).read_bytes())


async def read_recording(path: Path) -> Pcm:
    decoder = Decoder()
    policy = MediaPolicy(max_media_bytes=2**31)
    try:
        with await open_named(str(path.absolute()), policy, is_local_client=True) as spool:
            return await read_pcm(decoder, spool)
    finally:
        await decoder.aclose()


async def streamed(pcm: Pcm, num_samples: int) -> AsyncIterator[bytes]:
    """A WAV file of any length that is never in memory as a whole."""
    yield wav_header(num_samples)
    block = looped(pcm, max(1, BLOCK_SAMPLES // len(pcm)) * len(pcm))
    for start in range(0, num_samples, len(block)):
        yield block[: num_samples - start].tobytes()


# -- the server --------------------------------------------------------------------------------------------------


@contextmanager
def started_server() -> Iterator[tuple[str, int]]:
    """Its address and process id; it is ended on the way out, by force if need be."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"MODEL_ID": "builtin", "LOG_LEVEL": "warning", **os.environ, "HOST": "127.0.0.1", "PORT": str(port)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "asr_api", "serve"], env=settings, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until_ready(process, f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            for _ in range(2):  # the second ends what still runs: it is of no use to anybody
                process.send_signal(signal.SIGTERM)
                time.sleep(0.5)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.seek(0)
            sys.stderr.write(log.read(MAX_LOG_BYTES).decode(errors="replace"))


def wait_until_ready(process: subprocess.Popen[bytes], url: str, timeout_s: float = 300) -> None:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            if httpx.get(f"{url}/hc", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    sys.exit("The server did not start; its log says why.")


@asynccontextmanager
async def connected(url: str, pid: int | None, query: Sequence[str]) -> AsyncIterator[Server]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits, trust_env=False) as http:
        yield Server(http, dict(part.split("=", 1) for part in query), pid)


async def run(arguments: argparse.Namespace, url: str, pid: int | None) -> Report:
    measure = {"files": measure_files, "load": measure_load, "beside": measure_beside}[arguments.method]
    async with connected(url, pid, arguments.query) as server:
        if pid is None:
            return await measure(server, arguments)
        with PeakMemory(pid) as memory:
            report = await measure(server, arguments)
    peak_mb = None if memory.peak_bytes is None else round(memory.peak_bytes / 1e6)
    print(f"peak memory of the server's processes: {peak_mb} MB")
    return report | {"peak_mb": peak_mb}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    methods = parser.add_subparsers(dest="method", required=True)
    for name, clients, rounds in (("files", 1, 1), ("load", 32, 3), ("beside", 1, 1)):
        method = methods.add_parser(name)
        method.add_argument("--url", help="of a server that runs; else one is started, and ended")
        method.add_argument("--query", action="append", default=[], metavar="NAME=VALUE", help="such as language=en")
        method.add_argument("--clients", type=int, default=clients)
        method.add_argument("--rounds", type=int, default=rounds)
        method.add_argument("--audio", type=Path, default=MINUTE, help="a recording to cut clips from")
        method.add_argument("--clips", type=int, default=96)
        method.add_argument("--num", type=int, default=40, help="of clips that are sent one by one")
        method.add_argument("--long-s", type=float, default=3 * 3600)
        method.add_argument("--whole", action="store_true", help="wait for the long file as well")
    methods.choices["files"].add_argument("source", type=Path)
    methods.choices["files"].add_argument("--csv", type=Path, help="where to write a row for each file")
    arguments = parser.parse_args()
    try:
        if arguments.url:
            report = asyncio.run(run(arguments, arguments.url, None))
        else:
            with started_server() as (url, pid):
                report = asyncio.run(run(arguments, url, pid))
    except KeyboardInterrupt:
        return 130
    print(json.dumps({"method": arguments.method, "model_id": os.environ.get("MODEL_ID", "builtin"), **report}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
