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
from asr_api.engines.whisper.prompt import Prompter
from asr_api.engines.whisper.timestamps import TokenSpan
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.word_timestamps import timed_words
from asr_api.transcript import Word


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """A window with its text; words: of each segment."""

    window: DeviceWindow
    attempt: Attempt
    words: tuple[tuple[Word, ...], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    """first: token of the text that was fed for it with which the spans begin; looks: see Prefill.attention"""

    window: DeviceWindow
    attempt: Attempt
    spans: Sequence[TokenSpan]
    first: int
    looks: HostCopy


class WordTimestamps:
    """The windows of one engine that wait for their words."""

    def __init__(self, reader: Prefill, prompter: Prompter, tokenizer: Tokenizer) -> None:
        self._reader, self._prompter, self._tokenizer = reader, prompter, tokenizer
        self._waiting: list[_Looked] = []

    def begin(self, window: DeviceWindow, attempt: Attempt, spans: Sequence[TokenSpan]) -> None:
        """Asks the device where the window's words were heard."""
        fed = self._prompter.fed_text(window.slot.prompt, [token for span in spans for token in span.tokens])
        self._waiting.append(_Looked(window, attempt, spans, fed.first, self._reader.attention(window, fed)))

    def take(self) -> list[Ending]:
        """All that wait, with their words."""
        waiting, self._waiting = self._waiting, []
        return [Ending(each.window, each.attempt, self._words(each)) for each in waiting]

    def leave(self, window: DeviceWindow) -> None:
        """Forgets the window, if it waits."""
        self._waiting = [each for each in self._waiting if each.window is not window]

    def _words(self, each: _Looked) -> tuple[tuple[Word, ...], ...]:
        return timed_words(each.spans, each.looks.wait(), each.first, self._tokenizer, each.window.slot.audio_ms)
