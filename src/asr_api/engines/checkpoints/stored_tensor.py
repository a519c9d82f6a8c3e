"""Tensors as files store them, float or 8-bit integers with steps, and their values as float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_api.errors import CheckpointError

StoredValues = NDArray[np.float32] | NDArray[np.float16] | NDArray[np.uint16] | NDArray[np.int8]
Dims = tuple[int, ...]

# numpy has no bfloat16: its bits, the upper half of a float32, stay an integer here.
NUMPY_TYPES: dict[str, type[np.floating | np.uint16 | np.int8]] = {
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
    "I8": np.int8,
}


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A tensor as its file stores it.

    dtype:  F32, F16, BF16, or I8. The set is open: a format with quantised blocks adds a dtype for each kind of block.
            An engine that has no arithmetic for a dtype takes `float_values`
    values: contiguous, of the dimensions that were asked for, not to be written; of BF16 the bits, because numpy has
            no such type
    steps:  of I8 only: (values.shape[0],), what one unit of each row is worth; finite and above 0
    """

    dtype: str
    values: StoredValues
    steps: NDArray[np.float32] | None = None


def float_values(stored: StoredTensor, name: str) -> NDArray[np.float32]:
    """The values as float32; those of F32 are not copied. Raises CheckpointError for NaN and infinity."""
    values = stored.values.astype(np.float32, copy=False)
    if stored.dtype == "BF16":
        values = (stored.values.astype(np.uint32) << 16).view(np.float32)
    if stored.steps is not None:
        with np.errstate(over="ignore"):  # infinity is refused below
            values *= stored.steps.reshape(-1, *[1] * (values.ndim - 1))
    if not np.isfinite(values).all():
        raise CheckpointError(
            f"The checkpoint's weights are broken: {name} contains NaN or infinity; fetch the checkpoint again."
        )
    return values


def check_dims(name: str, found: Dims, dims: Dims) -> None:
    """Raises CheckpointError when a tensor has other dimensions than the configuration asks for."""
    if found != dims:
        raise CheckpointError(
            f"The checkpoint's tensor {name} has the dimensions {found}, and its configuration asks for {dims}; fetch "
            "the checkpoint again."
        )


def missing_tensor(name: str) -> CheckpointError:
    return CheckpointError(f"The checkpoint is incomplete: it has no tensor {name}; fetch the checkpoint again.")
