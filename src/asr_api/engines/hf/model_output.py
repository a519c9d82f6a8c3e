"""What a model's head gives for one window, before it becomes text; plain data, without tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimedToken:
    """A token of the text, blanks and control tokens left out.

    start_ms, end_ms: relative to the window; both 0 where the model gives no times
    probability:      [0, 1]; 1 where the model does not say
    """

    token: int
    start_ms: int = 0
    end_ms: int = 0
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """What a window says; is_whole: False where the model was broken off, so that text is missing"""

    tokens: Sequence[TimedToken]
    is_whole: bool = True
