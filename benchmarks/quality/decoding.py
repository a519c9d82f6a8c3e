"""Decodes recordings that have no result yet: one process for each system, one system at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.quality.catalogue import CATALOGUE
from benchmarks.quality.model import Model
from benchmarks.quality.recording import Missing, Recording
from benchmarks.quality.results import key_of, read_results, results_path
from benchmarks.quality.worker import Request

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Plan:
    """results: folder of the results"""

    systems: tuple[str, ...]
    num_threads: int
    results: Path


def decode(plan: Plan, model: Model, recordings: Sequence[Recording]) -> dict[str, str]:
    """Why systems have no or not all results, by their names."""
    failures = {}
    for system in plan.systems:
        try:
            decode_by(system, plan, model, recordings)
        except Missing as error:
            failures[system] = str(error)
            log(f"{model.name}, {system}: {error}")
    return failures


def decode_by(system: str, plan: Plan, model: Model, recordings: Sequence[Recording]) -> None:
    path = results_path(plan.results, model.name, system)
    known = read_results(path)
    requests = [Request(key_of(each), str(each.path.resolve()), bool(each.words)) for each in recordings]
    requests = [request for request in requests if request.key not in known]
    if not requests:
        return
    log(f"{model.name}, {system}: {len(requests)} of {len(recordings)} recordings")
    require(CATALOGUE[system].package)
    folder = CATALOGUE[system].convert(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = [system, str(folder), str(plan.num_threads), str(path)]
    ended = subprocess.run(  # noqa: S603 – our own program
        [sys.executable, "-m", "benchmarks.quality.worker", *arguments],
        input="\n".join(json.dumps(asdict(request)) for request in requests),
        env=os.environ | dict.fromkeys(THREAD_VARIABLES, str(plan.num_threads)),
        text=True,
        check=False,
    )
    num_missing = len({request.key for request in requests} - read_results(path).keys())
    if num_missing:
        raise Missing(f"{num_missing} recordings have no result (status {ended.returncode}); the log says why.")


def require(package: str) -> None:
    try:
        version(package)
    except PackageNotFoundError:
        message = f"{package} is not installed: pip install -r benchmarks/quality/requirements.txt"
        raise Missing(message) from None


def log(line: str) -> None:
    sys.stderr.write(f"{line}\n")
