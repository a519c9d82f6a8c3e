"""Word timestamps of decoded windows, from the cross-attention weights of the alignment heads.

The weights are requested in one step and read in the next, so that the host aligns words while the device decodes
other windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asr_api.engines.cuda.device import HostCopy
from asr_api.engines.cuda.device_window import DeviceWindow, FinishedWindow
from asr_api.engines.cuda.prefill import Prefill
from asr_api.engines.whisper.fallback import Candidate
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.word_timestamps import timed_words
from asr_api.transcript import Segment, Word


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    window: DeviceWindow
    candidate: Candidate
    segments: Sequence[Segment]
    first_row: int  # of `weights` that belongs to the text
    weights: HostCopy  # see Prefill.alignment_weights


class WordTimestamps:
    """The decoded windows of one engine that wait for their word timestamps."""

    def __init__(self, prefill: Prefill, prompt_builder: PromptBuilder, tokenizer: Tokenizer) -> None:
        self._prefill = prefill
        self._prompt_builder = prompt_builder
        self._tokenizer = tokenizer
        self._pending: list[_Pending] = []

    def start(self, window: DeviceWindow, candidate: Candidate, segments: Sequence[Segment]) -> None:
        """Requests the alignment weights of the window's text."""
        tokens = [token for segment in segments for token in segment.tokens]
        text = self._prompt_builder.alignment_text(window.slot.prompt, tokens)
        weights = self._prefill.alignment_weights(window, text)
        self._pending.append(_Pending(window, candidate, segments, text.first_row, weights))

    def pop_finished(self) -> list[FinishedWindow]:
        """All pending windows, with their words. Waits for their weights."""
        pending, self._pending = self._pending, []
        return [FinishedWindow(entry.window, entry.candidate, self._words(entry)) for entry in pending]

    def release(self, window: DeviceWindow) -> None:
        """Drops the window if it is pending."""
        self._pending = [entry for entry in self._pending if entry.window is not window]

    def _words(self, entry: _Pending) -> tuple[tuple[Word, ...], ...]:
        audio_ms = entry.window.slot.audio_ms
        return timed_words(entry.segments, entry.weights.wait(), entry.first_row, self._tokenizer, audio_ms)
