"""Method of the original server's benchmark: files or links, one after the other or from several clients."""

# ruff: noqa: ASYNC240, T201 – files are small or local, and the lines are a table

from __future__ import annotations

import csv
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from asr_api.cli.sources import is_audio_file
from benchmarks.server.client import Reply, Server, send_all
from benchmarks.server.figures import Figures, figures_of

MAX_SHOWN = 40  # if there are more replies, the first half of this number is shown


@dataclass(frozen=True, slots=True)
class FilesReport:
    """rtfx_mean, rtfx_median: of the files, each with its own round trip; None when none was transcribed"""

    clients: int
    files: Figures
    rtfx_mean: float | None
    rtfx_median: float | None


async def measure_files(
    server: Server, source: Path, num_clients: int, num_rounds: int, csv_path: Path | None
) -> FilesReport:
    names = list_names(source)

    async def send(name: str) -> Reply:
        if "://" in name:
            return await server.post(name, {"url": name})
        return await server.post(name, Path(name).read_bytes())

    await send(names[0])  # warm-up
    started_s = time.perf_counter()
    replies = await send_all(names * num_rounds, num_clients, send)
    figures = figures_of(replies, time.perf_counter() - started_s)
    for reply in replies[: MAX_SHOWN // 2 if len(replies) > MAX_SHOWN else None]:
        times = f"{reply.audio_s:>9.1f} s in {reply.elapsed_s:>8.2f} s  {rtfx(reply):>7.1f}x"
        print(f"{times}  {reply.error or reply.name}")
    if csv_path:
        write_csv(csv_path, replies)
    good = [rtfx(reply) for reply in replies if reply.status == 200]
    mean, median = (statistics.fmean(good), statistics.median(good)) if good else (None, None)
    return FilesReport(num_clients, figures, mean, median)


def list_names(source: Path) -> list[str]:
    """The audio files of a folder, the lines of a text file, or the file itself."""
    if source.is_dir():
        names = sorted(str(path) for path in source.rglob("*") if is_audio_file(path))
    elif is_audio_file(source):
        names = [str(source)]
    else:
        lines = source.read_text(encoding="utf-8").splitlines()
        names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not names:
        sys.exit(
            f"{source} names no audio; give a folder of audio files, or a text file with one path or link per line."
        )
    return names


def write_csv(path: Path, replies: Sequence[Reply]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*(field.name for field in fields(Reply)), "rtfx"])
        writer.writeheader()
        writer.writerows({**asdict(reply), "rtfx": rtfx(reply)} for reply in replies)


def rtfx(reply: Reply) -> float:
    return reply.audio_s / reply.elapsed_s
