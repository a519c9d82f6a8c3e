"""Fails unless this environment has pip, and every file of every package that is installed in it.

What is missing was not written, because an installation was interrupted.
"""

from __future__ import annotations

import csv
import importlib.util
import sys
from importlib.metadata import Distribution, distributions


def is_whole(package: Distribution) -> bool:
    record = package.read_text("RECORD")
    if not record:
        return False
    return all(package.locate_file(row[0]).exists() for row in csv.reader(record.splitlines()))  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(importlib.util.find_spec("pip") is None or not all(map(is_whole, distributions())))
