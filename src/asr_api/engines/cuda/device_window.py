"""A window in the CUDA engine: its decoding state, its slot and rows on the device, and the candidate that is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from asr_api.engines.cuda.device import HostCopy
from asr_api.engines.whisper.decoding import Pass
from asr_api.engines.whisper.fallback import Candidate
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.slot import Slot
from asr_api.transcript import Word


@dataclass(slots=True, eq=False)
class DeviceWindow:
    """One window, from its encoding until it is finished.

    rows: of the KV cache; the first keeps the prompt's keys and values for as long as the window exists
    """

    slot: Slot
    slot_index: int  # of the KV cache, with its encoder states
    rows: list[int] = field(default_factory=list)
    current_pass: Pass | None = None  # None while no pass is decoding
    num_read_tokens: int = 0  # sampled tokens of each row that were appended to the pass
    start_logits: HostCopy | None = None  # at <|startoftranscript|>, maybe still being copied: (n_windows, n_vocab)
    start_index: int = 0  # index of this window in `start_logits`

    def set_no_speech_probability(self, prompt_builder: PromptBuilder) -> None:
        """Waits for the start logits; does nothing after the first call."""
        if self.start_logits is not None:
            logits = self.start_logits.wait()[self.start_index]
            self.slot.no_speech_probability = prompt_builder.no_speech_probability(logits)
            self.start_logits = None


@dataclass(frozen=True, slots=True, eq=False)
class FinishedWindow:
    """A window and the candidate that is kept. words: of each segment, where they were asked for"""

    window: DeviceWindow
    candidate: Candidate
    words: tuple[tuple[Word, ...], ...] = ()
