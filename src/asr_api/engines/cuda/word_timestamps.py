"""Windows whose text is there and whose words are still to be timed: attempts in, the same with words out.

Words come one step late, so that the host times them while the device writes other windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asr_api.engines.cuda.device import HostCopy
from asr_api.engines.cuda.device_window import DeviceWindow
from asr_api.engines.cuda.prefill import Prefill
from asr_api.engines.whisper.fallback import Attempt
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.word_timestamps import timed_words
from asr_api.transcript import Segment, Word


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """A window with its text; words: of each segment."""

    window: DeviceWindow
    attempt: Attempt
    words: tuple[tuple[Word, ...], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    """first: token of the text that was fed for it with which the segments begin; looks: see Prefill.attention"""

    window: DeviceWindow
    attempt: Attempt
    segments: Sequence[Segment]
    first: int
    looks: HostCopy


class WordTimestamps:
    """The windows of one engine that wait for their words."""

    def __init__(self, reader: Prefill, prompts: PromptBuilder, tokenizer: Tokenizer) -> None:
        self._reader, self._prompts, self._tokenizer = reader, prompts, tokenizer
        self._waiting: list[_Looked] = []

    def begin(self, window: DeviceWindow, attempt: Attempt, segments: Sequence[Segment]) -> None:
        """Asks the device where the window's words were heard."""
        tokens = [token for segment in segments for token in segment.tokens]
        fed = self._prompts.alignment_text(window.slot.prompt, tokens)
        self._waiting.append(_Looked(window, attempt, segments, fed.first_row, self._reader.attention(window, fed)))

    def take(self) -> list[Ending]:
        """All that wait, with their words."""
        waiting, self._waiting = self._waiting, []
        return [Ending(each.window, each.attempt, self._words(each)) for each in waiting]

    def leave(self, window: DeviceWindow) -> None:
        """Forgets the window, if it waits."""
        self._waiting = [each for each in self._waiting if each.window is not window]

    def _words(self, each: _Looked) -> tuple[tuple[Word, ...], ...]:
        return timed_words(each.segments, each.looks.wait(), each.first, self._tokenizer, each.window.slot.audio_ms)
