"""State of one window while it is decoded: its job, its prompt, and the candidates that failed so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from asr_api.engines.protocol import WindowJob
from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.fallback import Candidate
from asr_api.engines.whisper.prompt import Prompt
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.transcript import LanguageGuess


@dataclass(slots=True, eq=False)
class Slot:
    """One window, from admission to its transcript.

    first_logits: (n_vocab,) after the whole prompt: the decoding at every temperature begins with them
    failed:       the best candidate of each temperature so far; none passed
    """

    job: WindowJob
    prompt: Prompt
    guesses: tuple[LanguageGuess, ...] = ()
    no_speech_probability: float = 0.0
    first_logits: Floats | None = None
    failed: list[Candidate] = field(default_factory=list)

    @property
    def audio_ms(self) -> int:
        return len(self.job.pcm) * 1000 // SAMPLE_RATE_HZ

    @property
    def has_timestamps(self) -> bool:
        return self.job.options.timestamps

    @property
    def temperature(self) -> float:
        """Of the current decoding."""
        return self._temperatures[len(self.failed)]

    @property
    def has_next_temperature(self) -> bool:
        return len(self.failed) + 1 < len(self._temperatures)

    @property
    def _temperatures(self) -> list[float]:
        return sorted({*self.job.options.temperatures}) or [0.0]
