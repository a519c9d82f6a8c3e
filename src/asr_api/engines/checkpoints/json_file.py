"""Reads the JSON of a checkpoint, strictly: configuration, index of its shards, header of safetensors, vocabularies.

A checkpoint comes from anywhere. What this module returns can be walked, compared and printed without further care: it
is not deep, its numbers are finite and short, its text can be encoded.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from asr_api.engines.checkpoints.small_file import read_small_file
from asr_api.errors import CheckpointError

MAX_JSON_BYTES = 10_000_000
MAX_DEPTH = 100
MAX_DIGITS = 100
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class UnreadableJson(ValueError):
    """The message is the reason, in one short line."""


def read_json(path: Path) -> dict[str, object]:
    """Raises CheckpointError when the file is not one JSON object."""
    try:
        return parse_json(read_small_file(path, MAX_JSON_BYTES))
    except FileNotFoundError as error:
        raise CheckpointError(f"The checkpoint has no {path.name}; fetch the checkpoint again.") from error
    except UnreadableJson as error:
        raise CheckpointError(
            f"The checkpoint's {path.name} cannot be read as JSON ({error}); fetch the checkpoint again."
        ) from error


def parse_json(data: bytes) -> dict[str, object]:
    """Raises UnreadableJson for anything but one object in standard JSON."""
    value = parse_json_value(data)
    if not isinstance(value, dict):
        raise UnreadableJson("it is not an object")
    return value


def parse_json_value(data: bytes) -> object:
    """Raises UnreadableJson for anything but one value in standard JSON."""
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_finite,
        )
        if SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise UnreadableJson("it is not UTF-8") from None
    except UnicodeEncodeError:
        raise UnreadableJson("it has half of a surrogate pair") from None
    except RecursionError:
        raise UnreadableJson("it is nested too deeply") from None
    except ValueError as error:
        raise UnreadableJson(str(error)) from None
    _check_depth(value)
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("a key occurs twice")
    return entries


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _finite(literal: str) -> float:
    if not math.isfinite(number := float(literal)):
        raise ValueError(f"a number is {literal[:MAX_DIGITS]}")
    return number


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
    if level:
        raise UnreadableJson("it is nested too deeply")
