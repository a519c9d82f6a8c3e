"""Reads the header of model.bin, CTranslate2's binary format in version 6: where each variable is, and its type.

The file: version (uint32), name of the model's kind, its revision (uint32), number of variables (uint32), variables,
number of aliases (uint32), aliases. A variable: name, rank (uint8), dimensions (uint32 each), type (uint8), number of
bytes (uint32), values. An alias: two names, and the first stands for the second. A name: length with the final zero
(uint16), bytes. All numbers are little-endian.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.checkpoints.mapped_files import MappedFiles
from asr_api.engines.checkpoints.stored_tensor import Dims
from asr_api.errors import CheckpointError

BINARY_VERSION = 6
KIND, REVISION = "WhisperSpec", 3
MAX_VARIABLES = 20_000  # Whisper large in 8 bits has 2,500
MAX_RANK = 8
# In the order of the type codes. numpy has no bfloat16; its bits stay an integer.
TYPES = (
    ("F32", np.float32), ("I8", np.int8), ("I16", np.int16), ("I32", np.int32), ("F16", np.float16), ("BF16", np.uint16)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variable:
    """Position and type of one variable. dims: () for a scalar"""

    dtype: str
    dims: Dims
    offset_bytes: int


class ModelFile:
    """The variables of one model.bin, by name. Values are views of the mapped file, copied where they are unaligned."""

    def __init__(self, files: MappedFiles) -> None:
        """files: model.bin, whole or in parts. Raises CheckpointError when it is not a Whisper model, or is damaged."""
        self._files = files
        try:
            self.variables = _read_variables(_Cursor(files))
        except (ValueError, struct.error) as error:
            raise CheckpointError(
                f"The checkpoint's model.bin is cut off or damaged ({error}); fetch the checkpoint again."
            ) from error

    def values(self, variable: Variable, first: int = 0, count: int | None = None) -> NDArray[np.generic]:
        """`count` rows from row `first` on; all of them by default."""
        num_rows, *rest = variable.dims or (1,)
        count = num_rows if count is None else count
        item = np.dtype(dict(TYPES)[variable.dtype])
        row_bytes = math.prod(rest) * item.itemsize
        raw = self._files.view(variable.offset_bytes + first * row_bytes, count * row_bytes)
        return np.require(raw.view(item), requirements=["ALIGNED"]).reshape(count, *rest)

    def scalar(self, name: str, default: int) -> int:
        """A setting of the architecture, such as encoder/num_heads."""
        variable = self.variables.get(name)
        return default if variable is None or variable.dims else int(self.values(variable)[0])

    def forget(self) -> None:
        self._files.forget()


class _Cursor:
    """Reads numbers and names from a position on. Raises ValueError at the end of the file."""

    def __init__(self, files: MappedFiles) -> None:
        self._files = files
        self.position = 0

    def skip(self, num_bytes: int) -> int:
        """The position before."""
        start, end = self.position, self.position + num_bytes
        if end > len(self._files):
            raise ValueError("it ends too early")
        self.position = end
        return start

    def numbers(self, code: str, count: int = 1) -> tuple[int, ...]:
        """code: of `struct`"""
        num_bytes = struct.calcsize(f"<{count}{code}")
        return struct.unpack(f"<{count}{code}", self._files.view(self.skip(num_bytes), num_bytes).tobytes())

    def number(self, code: str) -> int:
        return self.numbers(code)[0]

    def name(self) -> str:
        length = self.number("H")
        return self._files.view(self.skip(length), length).tobytes().rstrip(b"\0").decode()


def _read_variables(cursor: _Cursor) -> dict[str, Variable]:
    _check_version(cursor)
    variables: dict[str, Variable] = {}
    for _ in range(_count(cursor)):
        name = cursor.name()
        variables[name] = _read_variable(cursor, name)
    for _ in range(_count(cursor)):
        alias, name = cursor.name(), cursor.name()
        if name not in variables:
            raise ValueError(f"{alias} stands for {name}, which it lacks")
        variables[alias] = variables[name]
    return variables


def _check_version(cursor: _Cursor) -> None:
    version = cursor.number("I")
    if version != BINARY_VERSION:
        raise CheckpointError(
            f"The checkpoint's model.bin has version {version} of CTranslate2's format, or is no CTranslate2 model; "
            f"version {BINARY_VERSION} can be read: convert the model with CTranslate2 3 or newer."
        )
    kind, revision = cursor.name(), cursor.number("I")
    if (kind, revision) != (KIND, REVISION):
        raise CheckpointError(
            f"The checkpoint's model.bin holds a CTranslate2 model of the kind {kind[:40]!r}, revision {revision}; "
            f"only {KIND}, revision {REVISION}, can be read: choose a Whisper checkpoint, or convert it again."
        )


def _count(cursor: _Cursor) -> int:
    count = cursor.number("I")
    if count > MAX_VARIABLES:
        raise ValueError(f"it names {count} variables, and {MAX_VARIABLES} are allowed")
    return count


def _read_variable(cursor: _Cursor, name: str) -> Variable:
    rank = cursor.number("B")
    if rank > MAX_RANK:
        raise ValueError(f"{name} has {rank} dimensions, and {MAX_RANK} are allowed")
    dims = cursor.numbers("I", rank) if rank else ()
    code, num_bytes = cursor.number("B"), cursor.number("I")
    if code >= len(TYPES):
        raise ValueError(f"{name} has the unknown type {code}")
    dtype, item = TYPES[code]
    if math.prod(dims) * np.dtype(item).itemsize != num_bytes:
        raise ValueError(f"{name} has {num_bytes} bytes, which do not fit its dimensions {dims}")
    return Variable(dtype, dims, cursor.skip(num_bytes))
