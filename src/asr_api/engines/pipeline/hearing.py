"""What a model's head gives for one window, before it becomes text; plain data, without tensors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HeardToken:
    """A token of the text, blanks and control tokens left out.

    start_ms, end_ms: relative to the window; both 0 where the model gives no times
    probability:      [0, 1]; 1 where the model does not say
    """

    token: int
    start_ms: int = 0
    end_ms: int = 0
    probability: float = 1.0
