"""Reads the prompts of windows, several at once: their keys and values into the caches, the language into the prompt.

The last token of a prompt is left for the first step of a pass, which every try of a window begins with. Knows nothing
about what is written after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from asr_api.engines.cuda.decode_state import moved
from asr_api.engines.cuda.device import Device, HostCopy
from asr_api.engines.cuda.device_window import DeviceWindow
from asr_api.engines.cuda.kv_cache import Caches
from asr_api.engines.cuda.model import Decoder
from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.prompt import AlignmentText, PromptBuilder

READ_TOGETHER = 16  # windows: what they heard is gathered for each layer


@dataclass(frozen=True, slots=True)
class _Part:
    """Tokens of one window to be fed from a position on."""

    window: DeviceWindow
    first: int
    tokens: tuple[int, ...]

    @property
    def num_head(self) -> int:
        """Tokens of the prompt up to its start."""
        return len(self.window.slot.prompt.head)

    @property
    def size(self) -> tuple[int, int]:
        return len(self.tokens), self.num_head


class Prefill:
    def __init__(self, decoder: Decoder, caches: Caches, machine: Device, prompts: PromptBuilder) -> None:
        self._decoder = decoder
        self._caches = caches
        self._machine = machine
        self._prompts = prompts

    def read(self, windows: Sequence[DeviceWindow]) -> None:
        """All but the last token of their prompts. Waits for the device only where a language is to be detected."""
        self._detect([window for window in windows if window.slot.prompt.language is None])
        parts = []
        for window in windows:
            prompt = window.slot.prompt
            parts.append(_Part(window, 0, prompt.tokens[: max(len(prompt.head), len(prompt.tokens) - 1)]))
        for group in _grouped(parts):
            hidden = self._feed(group)
            start = HostCopy(self._decoder.logits(hidden[:, group[0].num_head - 1]).float())
            for index, part in enumerate(group):
                part.window.start, part.window.index = start, index

    def _detect(self, windows: Sequence[DeviceWindow]) -> None:
        """Earlier text, maybe in another language, has no say in it."""
        if not windows:
            return
        groups = _grouped([_Part(window, 0, window.slot.prompt.head[-1:]) for window in windows])
        starts = [HostCopy(self._decoder.logits(self._feed(group)[:, 0]).float()) for group in groups]
        for group, start in zip(groups, starts, strict=True):
            for part, logits in zip(group, start.wait(), strict=True):
                slot = part.window.slot
                slot.guesses = self._prompts.guesses(logits, slot.prompt.languages)
                slot.prompt = self._prompts.with_language(slot.prompt, slot.guesses, slot.job.options)

    def first_logits(self, window: DeviceWindow) -> Floats:
        """What follows the whole prompt, (n_vocab,); its last token is read, too."""
        tokens = window.slot.prompt.tokens
        hidden = self._feed([_Part(window, len(tokens) - 1, tokens[-1:])])
        logits: Floats = HostCopy(self._decoder.logits(hidden[0, -1]).float()).wait().copy()
        return logits

    def attention(self, window: DeviceWindow, fed: AlignmentText) -> HostCopy:
        """Where the alignment heads look as they read a text, (n_heads, tokens, n_audio_ctx)."""
        return HostCopy(self._decoder.attention(self._moved(fed.tokens), window.place, self._caches))

    def _feed(self, parts: Sequence[_Part]) -> Tensor:
        """Parts of one size → hidden states (n_parts, n_tokens, n_state)"""
        rows = self._moved([part.window.rows[0] for part in parts])
        places = self._moved([part.window.place for part in parts])
        tokens = moved(torch.tensor([part.tokens for part in parts]), self._machine.device)
        return self._decoder.read(tokens, parts[0].first, rows, places, self._caches)

    def _moved(self, numbers: Sequence[int]) -> Tensor:
        return moved(torch.tensor(numbers, dtype=torch.int64), self._machine.device)


def _grouped(parts: Sequence[_Part]) -> list[Sequence[_Part]]:
    """Those of one size together, as many as memory was left for."""
    ordered = sorted(parts, key=lambda part: part.size)
    alike = [list(group) for _, group in groupby(ordered, key=lambda part: part.size)]
    return [group[at : at + READ_TOGETHER] for group in alike for at in range(0, len(group), READ_TOGETHER)]
