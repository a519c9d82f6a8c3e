"""A window in this engine: the shared slot with its prompt and tries, and where on the device it lives."""

from __future__ import annotations

from dataclasses import dataclass, field

from asr_api.engines.cuda.device import HostCopy
from asr_api.engines.whisper.decoding import Pass
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.slot import Slot


@dataclass(slots=True, eq=False)
class DeviceWindow:
    """One window that was heard.

    place:     its slot on the device
    rows:      on the device; the first holds the prompt for as long as the window lives
    one:       the pass at hand; None between two
    num_taken: how many sampled tokens of each row the pass has been told
    start:     the logits at <|startoftranscript|>, maybe still on their way: (n_windows, n_vocab)
    index:     the window's in `start`
    """

    slot: Slot
    place: int
    rows: list[int] = field(default_factory=list)
    one: Pass | None = None
    num_taken: int = 0
    start: HostCopy | None = None
    index: int = 0

    def read_start(self, prompts: PromptBuilder) -> None:
        """Takes in what the first answer tells; waits for it."""
        if self.start is not None:
            self.slot.no_speech_probability = prompts.no_speech_probability(self.start.wait()[self.index])
            self.start = None
