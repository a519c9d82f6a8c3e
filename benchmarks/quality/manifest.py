"""Reads manifest.tsv of a folder of recordings: columns set, file, language, text, source, seconds."""

from __future__ import annotations

import csv
from pathlib import Path

from benchmarks.quality.recording import Missing, Recording

NAME = "manifest.tsv"
COLUMNS = ("set", "file", "language", "text", "source", "seconds")


def read_manifest(folder: Path) -> list[Recording]:
    """Raises Missing when the manifest, a column or a recording is not there."""
    path = folder / NAME
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            absent = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            rows = [] if absent else list(reader)
    except FileNotFoundError:
        raise Missing(
            f"{path} is not there; name with --recordings a folder with recordings and a {NAME} "
            f"of the columns {', '.join(COLUMNS)}."
        ) from None
    if absent:
        raise Missing(f"{path} has no column {absent[0]!r}; its columns must be {', '.join(COLUMNS)}.")
    return [recording(folder, row, number) for number, row in enumerate(rows, start=2)]


def recording(folder: Path, row: dict[str, str | None], number: int) -> Recording:
    where = f"{folder / NAME}, row {number}"
    if None in row or None in row.values():
        raise Missing(f"{where} does not have {len(COLUMNS)} fields; separate them with tabs.")
    fields = {name: value or "" for name, value in row.items()}
    path = folder / fields["file"]
    if not path.is_file():
        raise Missing(f"{where} names {fields['file']}, which is not in the folder; add the file or delete the row.")
    try:
        seconds = float(fields["seconds"])
    except ValueError:
        raise Missing(f"{where} has the length {fields['seconds']!r}; it must be a number of seconds.") from None
    return Recording(fields["set"], path, fields["language"], fields["text"], seconds)
