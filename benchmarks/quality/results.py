"""Results of one system with one model in a file of JSON lines, so that an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

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
    return {fields["key"]: from_json(fields) for fields in read_lines(path)}


def drop_results(path: Path, keys: set[str]) -> None:
    """Forgets the results with these keys."""
    if path.exists():
        write_lines(path, [fields for fields in read_lines(path) if fields["key"] not in keys], "w")


def append_result(path: Path, key: str, transcription: Transcription, elapsed_s: float) -> None:
    fields = {"key": key, **asdict(transcription), "elapsed_s": round(elapsed_s, 3)}
    write_lines(path, [fields], "a")


def read_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def write_lines(path: Path, lines: Iterable[dict[str, Any]], mode: Literal["a", "w"]) -> None:
    with path.open(mode, encoding="utf-8") as file:
        file.writelines(json.dumps(fields, ensure_ascii=False) + "\n" for fields in lines)
