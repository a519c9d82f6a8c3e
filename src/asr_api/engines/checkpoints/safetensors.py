"""Checkpoints as the hub stores them: JSON files, tokenizer files, and tensors in safetensors files.

Tensor files are mapped, not read: a tensor is a view of the page cache. Only safetensors are opened, because loading a
pickle can run code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.checkpoints.completeness import describe_missing, list_weight_files
from asr_api.engines.checkpoints.json_file import parse_json, read_json
from asr_api.engines.checkpoints.mapped_files import MappedFiles
from asr_api.engines.checkpoints.stored_tensor import (
    NUMPY_TYPES,
    StoredTensor,
    check_dims,
    float_values,
    missing_tensor,
)
from asr_api.engines.checkpoints.tokenizer_files import TokenizerFiles, read_tokenizer_files
from asr_api.errors import CheckpointError

DTYPES = ("F32", "F16", "BF16")
MAX_MODEL_TYPE_CHARS = 100
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
LENGTH_BYTES = 8


class SafetensorsCheckpoint:
    """Implements `asr_api.engines.checkpoints.checkpoint.Checkpoint`."""

    def __init__(self, folder: Path) -> None:
        """Raises CheckpointError when config.json is missing, is not JSON, or does not name a model type."""
        self._folder = folder
        self.config = read_json(folder / "config.json")
        model_type = self.config.get("model_type")
        if not isinstance(model_type, str) or len(model_type) > MAX_MODEL_TYPE_CHARS:
            raise CheckpointError(
                "The checkpoint's config.json does not name a model_type, so no engine can be chosen for it; fetch the "
                "checkpoint again, or choose another one as MODEL_ID."
            )
        self.model_type = model_type

    @cached_property
    def generation_config(self) -> dict[str, object]:
        path = self._folder / "generation_config.json"
        return read_json(path) if path.exists() else {}

    @cached_property
    def tensors(self) -> SafetensorsReader:
        return SafetensorsReader(self._folder)

    @cached_property
    def tokenizer(self) -> TokenizerFiles:
        return read_tokenizer_files(self._folder)


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    dtype: str
    dims: tuple[int, ...]
    offset_bytes: int


class SafetensorsReader:
    """Implements `asr_api.engines.checkpoints.checkpoint.TensorReader`.

    The files have transformers' names; the leading "model.", which some files have and some do not, is dropped.
    """

    def __init__(self, folder: Path) -> None:
        """Reads the headers only. Raises CheckpointError when a file is missing, cut off or not safetensors."""
        self._entries: dict[str, _Entry] = {}
        for path in _weight_files(folder):
            for name, entry in _read_header(path).items():
                self._entries[name.removeprefix("model.")] = entry
        # Here and not at first use: two threads read tensors at once, and each file is to have one map.
        self._files = {path: MappedFiles([path]) for path in {entry.path for entry in self._entries.values()}}

    def tensor(self, name: str, dims: tuple[int, ...]) -> StoredTensor:
        entry = self._entries.get(name)
        if entry is None:
            raise missing_tensor(name)
        check_dims(name, entry.dims, dims)
        item = np.dtype(NUMPY_TYPES[entry.dtype])
        raw = self._files[entry.path].view(entry.offset_bytes, math.prod(dims) * item.itemsize)
        return StoredTensor(entry.dtype, np.require(raw.view(item), requirements=["ALIGNED"]).reshape(dims))

    def numbers(self, name: str, dims: tuple[int, ...]) -> NDArray[np.float32]:
        return float_values(self.tensor(name, dims), name)

    def forget(self) -> None:
        for mapped in self._files.values():
            mapped.forget()


def _weight_files(folder: Path) -> list[Path]:
    paths = [folder / name for name in list_weight_files(folder)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise CheckpointError(f"The checkpoint {describe_missing(missing)}")
    return paths


def _read_header(path: Path) -> dict[str, _Entry]:
    """The position of each tensor in one file. The format: length of the header, header in JSON, values."""
    try:
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(LENGTH_BYTES), "little")
            header = parse_json(file.read(min(header_bytes, MAX_HEADER_BYTES)))
        end_of_file, first = path.stat().st_size, LENGTH_BYTES + header_bytes
        return {
            name: _read_entry(path, fields, first, end_of_file)
            for name, fields in header.items()
            if name != "__metadata__" and _is_readable(fields)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"The checkpoint's {path.name} is cut off or not a safetensors file; fetch the checkpoint again."
        ) from error


def _is_readable(fields: object) -> TypeGuard[dict[str, object]]:
    """Whether there is a numpy type for a tensor; others are not needed."""
    if not isinstance(fields, dict):
        raise TypeError("a tensor is described by an object")
    return fields["dtype"] in DTYPES


def _read_entry(path: Path, fields: dict[str, object], first: int, end_of_file: int) -> _Entry:
    dims, dtype, offsets = fields["shape"], str(fields["dtype"]), fields["data_offsets"]
    if not _are_integers(dims) or not _are_integers(offsets):
        raise TypeError("shape and data_offsets are lists of integers")
    start, end = offsets
    num_bytes = math.prod(dims) * np.dtype(NUMPY_TYPES[dtype]).itemsize
    if start < 0 or end - start != num_bytes or first + end > end_of_file:
        raise ValueError("a tensor lies outside the file")
    return _Entry(path, dtype, tuple(dims), first + start)


def _are_integers(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(number) is int for number in value)
