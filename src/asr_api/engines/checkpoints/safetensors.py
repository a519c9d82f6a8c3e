"""A checkpoint's tensors by name, as they are stored, from one safetensors file or from shards.

Files are mapped, not read: a tensor is a view of the page cache. Nothing but safetensors is opened: a pickle can run
code. Knows names, types and sizes, not what they are for.
"""

from __future__ import annotations

import json
import math
import mmap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.whisper.config import read_json
from asr_api.errors import CheckpointError

Stored = NDArray[np.float32] | NDArray[np.float16] | NDArray[np.uint16]

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
# numpy has no bfloat16: its bits, the upper half of a float32, stay an integer here.
NUMPY_TYPES: dict[str, type[np.float32 | np.float16 | np.uint16]] = {
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
}
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """dtype: F32, F16 or BF16; values: contiguous, of the dimensions asked for, not to be written; BF16 as its bits"""

    dtype: str
    values: Stored


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    dtype: str
    dims: tuple[int, ...]
    offset_bytes: int


class Weights:
    """Tensors of one checkpoint, named without the leading "model." that some files have and some don't."""

    def __init__(self, folder: Path) -> None:
        """Reads the headers only; raises CheckpointError when a file is missing, cut off or not safetensors."""
        self._entries: dict[str, _Entry] = {}
        self._maps: dict[Path, mmap.mmap] = {}
        for path in _weight_files(folder):
            for name, entry in _read_header(path).items():
                self._entries[name.removeprefix("model.")] = entry

    def tensor(self, name: str, dims: tuple[int, ...]) -> StoredTensor:
        """Raises CheckpointError when the tensor is missing or of other dimensions."""
        entry = self._entries.get(name)
        if entry is None:
            raise CheckpointError(
                f"The checkpoint has no tensor {name}, so it is no complete Whisper model; fetch it again, whole."
            )
        if entry.dims != dims:
            raise CheckpointError(
                f"The checkpoint's tensor {name} is {entry.dims} and config.json asks for {dims}; "
                "fetch the checkpoint again, whole."
            )
        if entry.path not in self._maps:
            with entry.path.open("rb") as file:
                # Nobody writes, but OpenVINO maps no more than what could be written: a copy, made where it would be.
                self._maps[entry.path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        item = np.dtype(NUMPY_TYPES[entry.dtype])
        raw = np.frombuffer(self._maps[entry.path], np.uint8, math.prod(dims) * item.itemsize, entry.offset_bytes)
        return StoredTensor(entry.dtype, np.require(raw.view(item), requirements=["ALIGNED"]).reshape(dims))

    def numbers(self, name: str, dims: tuple[int, ...]) -> NDArray[np.float32]:
        """The tensor as float32; raises CheckpointError, too, when it holds what is no number."""
        values = widened(self.tensor(name, dims))
        if not np.isfinite(values).all():
            raise CheckpointError(
                f"The checkpoint's weights are broken: {name} holds what is no number; fetch the checkpoint again."
            )
        return values

    def forget(self) -> None:
        """Gives the memory of what was read back; tensors stay valid and are read again where they are needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for each in self._maps.values():
                each.madvise(mmap.MADV_DONTNEED)


def widened(tensor: StoredTensor) -> NDArray[np.float32]:
    """Its values as float32."""
    if tensor.dtype == "BF16":
        return (tensor.values.astype(np.uint32) << 16).view(np.float32)
    return tensor.values.astype(np.float32, copy=False)


def _weight_files(folder: Path) -> list[Path]:
    if (folder / INDEX_FILE).is_file():
        weight_map = read_json(folder / INDEX_FILE).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CheckpointError(f"The checkpoint's {INDEX_FILE} names no files; fetch the checkpoint again.")
        # Only the file name counts: an index never leads out of the folder.
        paths = sorted({folder / Path(str(file)).name for file in weight_map.values()})
    else:
        paths = [folder / SINGLE_FILE]
    missing = [path.name for path in paths if not path.is_file()]
    if not missing:
        return paths
    is_pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
    remedy = (
        "its weights are pickled, which can run code when loaded: convert them to safetensors"
        if is_pickled
        else "fetch it again, whole"
    )
    raise CheckpointError(f"The checkpoint lacks {', '.join(missing)}; {remedy}.")


def _read_header(path: Path) -> dict[str, _Entry]:
    """Where each tensor lies in one file. The format: length of the header, header in JSON, values."""
    try:
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(LENGTH_BYTES), "little")
            header = json.loads(file.read(min(header_bytes, MAX_HEADER_BYTES)))
        end_of_file, first = path.stat().st_size, LENGTH_BYTES + header_bytes
        return {
            name: _read_entry(path, fields, first, end_of_file)
            for name, fields in header.items()
            if name != "__metadata__" and fields["dtype"] in NUMPY_TYPES
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"The checkpoint's {path.name} is cut off or no safetensors file; fetch the checkpoint again."
        ) from error


def _read_entry(path: Path, fields: dict[str, object], first: int, end_of_file: int) -> _Entry:
    dims, dtype, offsets = fields["shape"], str(fields["dtype"]), fields["data_offsets"]
    if not isinstance(dims, list) or not isinstance(offsets, list):
        raise TypeError("shape and data_offsets are lists")
    start, end = (int(offset) for offset in offsets)
    num_bytes = math.prod(int(dim) for dim in dims) * np.dtype(NUMPY_TYPES[dtype]).itemsize
    if start < 0 or end - start != num_bytes or first + end > end_of_file:
        raise ValueError("a tensor lies outside the file")
    return _Entry(path, dtype, tuple(int(dim) for dim in dims), first + start)
