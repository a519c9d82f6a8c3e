"""Measures this server and its peers in interleaved rounds: a table, then one line of JSON. See README.md."""

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
    arguments = parse_arguments()
    cache: Path = arguments.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    generated = cache / f"samples-{arguments.seconds}-s.wav"
    recording = arguments.audio.resolve() if arguments.audio else write_recording(generated, arguments.seconds)
    audio_s = length_s(recording)
    panels = []
    for shape in arguments.shapes.split(","):
        home = cache / f"{shape}-{arguments.tokens}-tokens"
        if not (home / "checkpoint").exists():
            write_rigged(home / "checkpoint", SHAPES[shape], arguments.tokens)
        plan = Plan(engines(arguments), recording, arguments.rounds, arguments.threads, arguments.lock)
        panels.append(panel(shape, measure(plan, home / "checkpoint", home), audio_s))
    result = report(panels, recording.name, audio_s)
    print(table(result))
    print(json_line(result))
    if arguments.picture:
        arguments.picture.write_text(picture([result]), encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--shapes", default="tiny", help=f"of {', '.join(SHAPES)}, separated by commas (%(default)s)")
    parser.add_argument("--tokens", type=int, default=100, help="of text in each window (%(default)s)")
    parser.add_argument("--engines", help="names, separated by semicolons; `all` includes unusual settings")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="each engine's (%(default)s)")
    parser.add_argument("--audio", type=Path, help="any file; default: one made of the samples")
    parser.add_argument("--seconds", type=int, default=600, help="length of the recording that is made (%(default)s)")
    parser.add_argument("--cache", type=Path, default=Path(".peers"), help="converted checkpoints (%(default)s)")
    parser.add_argument("--lock", type=Path, help="file to lock for each turn, on a shared machine")
    parser.add_argument("--picture", type=Path, help="SVG file to draw")
    return parser.parse_args()


def engines(arguments: argparse.Namespace) -> tuple[str, ...]:
    if not arguments.engines:
        return tuple(USUAL)
    names = tuple(CATALOGUE) if arguments.engines == "all" else tuple(arguments.engines.split(";"))
    unknown = set(names) - set(CATALOGUE)
    if unknown:
        raise SystemExit(f"Unknown engines: {', '.join(sorted(unknown))}. Known engines: {'; '.join(CATALOGUE)}.")
    return names


if __name__ == "__main__":
    main()
