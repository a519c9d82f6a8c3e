"""Measures our server and its peers in one interleaved run: a table, then one line of JSON. See README.md."""

# ruff: noqa: T201 – a program that prints a table

from __future__ import annotations

import argparse
import os
from pathlib import Path

from benchmarks.peers.audio import length_s, write_recording
from benchmarks.peers.catalogue import CATALOGUE, USUAL
from benchmarks.peers.measure import Plan, measure
from benchmarks.peers.picture import picture
from benchmarks.peers.report import json_line, panel, report, table
from benchmarks.rigged import SHAPES, write_rigged


def main() -> None:
    wishes = arguments()
    cache: Path = wishes.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / f"samples-{wishes.seconds}-s.wav"
    recording = wishes.audio.resolve() if wishes.audio else write_recording(made, wishes.seconds)
    audio_s = length_s(recording)
    panels = []
    for shape in wishes.shapes.split(","):
        home = cache / f"{shape}-{wishes.tokens}-tokens"
        if not (home / "checkpoint").exists():
            write_rigged(home / "checkpoint", SHAPES[shape], wishes.tokens)
        plan = Plan(engines(wishes), recording, wishes.rounds, wishes.threads, wishes.lock)
        panels.append(panel(shape, measure(plan, home / "checkpoint", home), audio_s))
    result = report(panels, recording.name, audio_s)
    print(table(result))
    print(json_line(result))
    if wishes.picture:
        wishes.picture.write_text(picture([result]), encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--shapes", default="tiny", help=f"of {', '.join(SHAPES)}, with commas (%(default)s)")
    parser.add_argument("--tokens", type=int, default=100, help="that each window says (%(default)s)")
    parser.add_argument("--engines", help="names, with semicolons; `all` for unusual settings, too")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="each engine's (%(default)s)")
    parser.add_argument("--audio", type=Path, help="any file; else one is made of the samples")
    parser.add_argument("--seconds", type=int, default=600, help="length of the one that is made (%(default)s)")
    parser.add_argument("--cache", type=Path, default=Path(".peers"), help="converted checkpoints (%(default)s)")
    parser.add_argument("--lock", type=Path, help="file to lock for each turn, where others share the machine")
    parser.add_argument("--picture", type=Path, help="SVG file to draw")
    return parser.parse_args()


def engines(wishes: argparse.Namespace) -> tuple[str, ...]:
    if not wishes.engines:
        return tuple(USUAL)
    names = tuple(CATALOGUE) if wishes.engines == "all" else tuple(wishes.engines.split(";"))
    unknown = set(names) - set(CATALOGUE)
    if unknown:
        raise SystemExit(f"no such engine: {', '.join(sorted(unknown))}; there are: {'; '.join(CATALOGUE)}")
    return names


if __name__ == "__main__":
    main()
