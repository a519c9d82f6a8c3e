"""Text deltas: segments as they come → pieces of text that together are exactly the text of the transcript."""

from __future__ import annotations

from collections.abc import Iterable

from asr_api.transcript import Segment


class TextDeltas:
    """`text` has no blanks at its ends, so blanks at the end of a segment wait for the text behind them."""

    def __init__(self) -> None:
        self.text = ""  # all deltas so far
        self._blanks = ""

    def push(self, segments: Iterable[Segment]) -> str:
        """The next delta; may be empty."""
        text = self._blanks + "".join(segment.text for segment in segments)
        delta = text.rstrip()
        self._blanks = text[len(delta) :]
        if not self.text:
            delta = delta.lstrip()
        self.text += delta
        return delta
