"""Results of one system with one model in a file of JSON lines, so that an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.quality.recording import Recording
from benchmarks.quality.transcription import Transcription, from_json


def key_of(recording: Recording) -> str:
    """Names a recording in the results: a changed file has another key."""
    digest = hashlib.sha256(recording.path.read_bytes()).hexdigest()
    return f"{recording.group}/{recording.path.name}/{digest[:16]}"


def results_path(folder: Path, model: str, system: str) -> Path:
    return folder / model / f"{system.replace(' ', '-')}.jsonl"


def read_results(path: Path) -> dict[str, Transcription]:
    """By key; the last line of a key counts. A line that was cut off is ignored."""
    results = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        results[fields["key"]] = from_json(fields)
    return results


def drop_results(path: Path, keys: set[str]) -> None:
    """Forgets the results with these keys."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    if lines:
        path.write_text("".join(line for line in lines if json.loads(line)["key"] not in keys), encoding="utf-8")


def append_result(path: Path, key: str, transcription: Transcription, elapsed_s: float) -> None:
    fields = {"key": key, **asdict(transcription), "elapsed_s": round(elapsed_s, 3)}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(fields, ensure_ascii=False) + "\n")
