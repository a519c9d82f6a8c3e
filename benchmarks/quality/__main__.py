"""Measures the quality of this server and other Whisper systems on real speech: tables, and JSON. See README.md."""

# ruff: noqa: T201 – a program that prints tables

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from benchmarks.peers.report import machine, version_of
from benchmarks.quality import espeak, weaving
from benchmarks.quality.catalogue import CATALOGUE
from benchmarks.quality.decoding import Plan, decode, log, require
from benchmarks.quality.figures import figures
from benchmarks.quality.manifest import read_manifest
from benchmarks.quality.model import Model
from benchmarks.quality.normalizer import has_characters, whisper_normalizer
from benchmarks.quality.recording import Missing, Recording
from benchmarks.quality.report import Panel, Report, tables
from benchmarks.quality.results import drop_results, key_of, read_results, results_path


def main() -> None:
    arguments = parse_arguments()
    try:
        result = measure(arguments)
    except Missing as error:
        raise SystemExit(str(error)) from None
    print(tables(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(result), ensure_ascii=False), encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--recordings", type=Path, required=True, help="folder with manifest.tsv")
    parser.add_argument("--models", required=True, help="NAME=FOLDER, separated by commas; English models end in .en")
    parser.add_argument("--systems", default="", help="names or their beginnings, separated by commas; default: all")
    parser.add_argument("--sets", default="", help="of the manifest, `long` or `espeak`, by commas; default: all")
    parser.add_argument("--long", action=argparse.BooleanOptionalAction, default=True, help="weave long recordings")
    parser.add_argument("--anew", action="store_true", help="forget the results of the chosen systems")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="each system's (%(default)s)")
    parser.add_argument("--results", type=Path, default=Path(".quality"), help="folder that is kept (%(default)s)")
    parser.add_argument("--json", type=Path, help="file for all figures and texts")
    return parser.parse_args()


def measure(arguments: argparse.Namespace) -> Report:
    plan = Plan(chosen_systems(arguments.systems), arguments.threads, arguments.results.resolve())
    models = chosen_models(arguments.models, plan.results)
    recordings = chosen_recordings(arguments, plan.results)
    for package in ("rapidfuzz", "transformers"):  # errors are counted with them
        require(package)
    if arguments.anew:
        forget(plan, models, {key_of(recording) for recording in recordings})
    failures: dict[str, dict[str, str]] = {model.name: {} for model in models}
    for is_long in (False, True):
        part = sorted((each for each in recordings if (each.group == weaving.GROUP) is is_long), key=seconds_of)
        for model in models:
            failures[model.name] |= decode(plan, model, [each for each in part if suits(each, model)])
    panels = [panel(plan, model, recordings, failures[model.name]) for model in models]
    packages = sorted({system.package for system in CATALOGUE.values()})
    versions = {package: version_of(package) for package in packages}
    return Report(machine(), date.today().isoformat(), versions, panels)


def chosen_systems(beginnings: str) -> tuple[str, ...]:
    parts = beginnings.split(",")
    unknown = [part for part in parts if not any(name.startswith(part) for name in CATALOGUE)]
    if unknown:
        raise Missing(f"There is no system {unknown[0]!r}; the systems are {', '.join(CATALOGUE)}.")
    return tuple(name for name in CATALOGUE if name.startswith(tuple(parts)))


def chosen_models(pairs: str, results: Path) -> list[Model]:
    models = []
    for pair in pairs.split(","):
        name, _, folder = pair.partition("=")
        if not Path(folder, "config.json").is_file():
            raise Missing(f"The model {pair!r} is not NAME=FOLDER of a folder with config.json.")
        models.append(Model(name, Path(folder).resolve(), results / name))
    return models


def chosen_recordings(arguments: argparse.Namespace, results: Path) -> list[Recording]:
    given = read_manifest(arguments.recordings)
    try:
        given += espeak.espeak_recordings(results / "espeak")
    except Missing as error:
        log(str(error))
    if arguments.long:
        given += weaving.woven(given, results / "long")
    groups = arguments.sets.split(",") if arguments.sets else []
    unknown = set(groups) - {recording.group for recording in given}
    if unknown:
        known = dict.fromkeys(recording.group for recording in given)
        raise Missing(f"There is no set {min(unknown)!r}; the sets are {', '.join(known)}.")
    return [recording for recording in given if not groups or recording.group in groups]


def seconds_of(recording: Recording) -> float:
    return recording.seconds


def suits(recording: Recording, model: Model) -> bool:
    return recording.language == "en" or not model.is_english


def forget(plan: Plan, models: Sequence[Model], keys: set[str]) -> None:
    for model in models:
        for system in plan.systems:
            drop_results(results_path(plan.results, model.name, system), keys)


def panel(plan: Plan, model: Model, recordings: Sequence[Recording], failures: dict[str, str]) -> Panel:
    """Of the chosen systems, and of those that have results from earlier runs."""
    normalizer = whisper_normalizer()
    suited = {key_of(recording): recording for recording in recordings if suits(recording, model)}
    num_recordings: dict[str, int] = {}
    for each in suited.values():
        row = f"{each.group}, characters" if has_characters(each.language) else each.group
        num_recordings[row] = num_recordings.get(row, 0) + 1
    systems = []
    for system in CATALOGUE:
        results = read_results(results_path(plan.results, model.name, system))
        if results or system in plan.systems:
            systems.append(figures(system, suited, results, normalizer, failures.get(system, "")))
    return Panel(model.name, num_recordings, systems)


if __name__ == "__main__":
    main()
