"""Whether the values of a tensor lie in the mapped file, or in a copy."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_mapped(values: np.ndarray[Any, Any]) -> bool:
    """Views of a copy have an array at the end of the chain, views of a map its buffer."""
    owner: object = values
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    return not isinstance(owner, np.ndarray)
