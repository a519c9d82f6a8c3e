"""Reads the JSON objects of a checkpoint: config.json, generation_config.json, the index of its shards."""

from __future__ import annotations

import json
from pathlib import Path

from asr_api.errors import CheckpointError


def read_json(path: Path) -> dict[str, object]:
    """Raises CheckpointError when the file cannot be read as a JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"The checkpoint's {path.name} cannot be read as JSON; fetch the checkpoint again."
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"The checkpoint's {path.name} is not a JSON object; fetch the checkpoint again.")
    return value
