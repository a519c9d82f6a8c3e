"""`SlotLimit`: how many slots the engine may use; fewer when its memory runs out, and slowly more again."""

from __future__ import annotations

WINDOWS_PER_SLOT = 16  # to be finished before one slot more is tried
# PyTorch's class has this name; ONNX Runtime, OpenVINO and cuBLAS raise general classes with these texts.
OUT_OF_MEMORY_CLASS = "OutOfMemoryError"
OUT_OF_MEMORY_TEXTS = (
    "Failed to allocate memory",
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "can't allocate memory",
    "ALLOC_FAILED",
)


class SlotLimit:
    def __init__(self, n_slots: int) -> None:
        """n_slots: of the engine"""
        self.num_slots = n_slots
        self._n_slots = n_slots
        self._num_finished = 0

    def lower(self, num_running: int) -> None:
        """After memory ran out with so many windows in the engine: half of them."""
        self.num_slots = max(1, min(num_running, self.num_slots) // 2)
        self._num_finished = 0

    def note_finished(self, num_windows: int) -> bool:
        """Whether there is a slot more now."""
        self._num_finished += num_windows
        if self.num_slots == self._n_slots or self._num_finished < WINDOWS_PER_SLOT:
            return False
        self.num_slots += 1
        self._num_finished = 0
        return True


def is_out_of_memory(error: Exception) -> bool:
    """By name and text, so that no library has to be imported for it."""
    is_named = any(kind.__name__ == OUT_OF_MEMORY_CLASS for kind in type(error).__mro__)
    return isinstance(error, MemoryError) or is_named or any(text in str(error) for text in OUT_OF_MEMORY_TEXTS)
