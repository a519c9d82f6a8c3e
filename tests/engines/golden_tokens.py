"""Golden tokens: the token ids of transformers' generate for synthetic sounds on small random checkpoints.

Written by `python -m tests.parity.write_golden`, which needs torch; read here without it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from asr_api.options import DecodeOptions, Task
from tests.engines.whisper_checkpoints import SMALL, SMALL_128, SMALL_EN

GOLDEN = Path(__file__).parent / "golden"
SHAPES = {"multilingual": SMALL, "english": SMALL_EN, "mels128": SMALL_128}
SEED = 3

File = Literal["tokens", "options"]
"""Greedy with timestamps; or all other options: tasks, languages, prompts, no timestamps, beam search."""


@dataclass(frozen=True, slots=True)
class GoldenWindow:
    """Prompt and sampled tokens for `sound(seconds, seed)`. language: None if detected; text: of the prompt, if any"""

    shape: str
    seconds: float
    seed: int
    language: str | None
    prompt: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    task: Task = "transcribe"
    timestamps: bool = True
    text: str = ""
    beam_size: int = 1

    @property
    def options(self) -> DecodeOptions:
        options = DecodeOptions(task=self.task, language=self.language, prompt=self.text, timestamps=self.timestamps)
        return replace(options, temperatures=(0.0,))

    @property
    def resume_ms(self) -> int | None:
        """By the rule of OpenAI's whisper/transcribe.py: the end of the text before the last two timestamps in a row.

        A window that fills the decoder is resumed at its last closed segment.
        """
        shape = SHAPES[self.shape]
        times_ms = [
            20 * (token - shape.timestamps.start) if token in shape.timestamps else None for token in self.tokens
        ]
        is_full = len(self.prompt) + len(self.tokens) >= shape.n_text_ctx
        if not self.timestamps or (not is_full and times_ms[-1] is not None and times_ms[-2] is None):
            return None
        ends = [end for text, end in pairwise(times_ms) if text is None and end is not None]
        pairs = [first for first, second in pairwise(times_ms) if first is not None and second is not None]
        resume_ms = next(reversed(ends if is_full else pairs), None)
        audio_ms = int(self.seconds * 16_000) // 16
        return resume_ms if resume_ms is not None and 1000 <= resume_ms < audio_ms - 100 else None


def read_golden_windows(file: File) -> list[GoldenWindow]:
    entries = json.loads((GOLDEN / f"{file}.json").read_text(encoding="utf-8"))
    return [GoldenWindow(**entry | {name: tuple(entry[name]) for name in ("prompt", "tokens")}) for entry in entries]


def write_golden_windows(file: File, windows: list[GoldenWindow]) -> None:
    lines = ",\n".join(json.dumps(asdict(window)) for window in windows)
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / f"{file}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
