"""Prefill: writes prompts' keys and values to the KV cache, several windows at once, and detects their languages.

The last token of a prompt is left for the first decode step of a pass, so that every pass of a window (temperature
fallback) can start from the same keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from asr_api.engines.cuda.device import HostCopy, index_tensor, to_device
from asr_api.engines.cuda.device_window import DeviceWindow
from asr_api.engines.cuda.kv_cache import KVCache
from asr_api.engines.cuda.model import TextDecoder
from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.prompt import AlignmentText, PromptBuilder

MAX_BATCH = 16  # windows; the cross-attention keys and values of each are gathered in every layer


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Tokens of one window to feed from a position on."""

    window: DeviceWindow
    first: int
    tokens: tuple[int, ...]

    @property
    def num_head_tokens(self) -> int:
        """Tokens of the prompt up to and including <|startoftranscript|>."""
        return len(self.window.slot.prompt.head)

    @property
    def size(self) -> tuple[int, int]:
        return len(self.tokens), self.num_head_tokens


class Prefill:
    def __init__(self, decoder: TextDecoder, cache: KVCache, prompt_builder: PromptBuilder) -> None:
        self._decoder = decoder
        self._cache = cache
        self._prompt_builder = prompt_builder

    def run(self, windows: Sequence[DeviceWindow]) -> None:
        """Feeds all but the last token of each prompt. Waits for the device only where a language is detected."""
        self._detect_languages([window for window in windows if window.slot.prompt.language is None])
        chunks = []
        for window in windows:
            prompt = window.slot.prompt
            chunks.append(_Chunk(window, 0, prompt.tokens[: max(len(prompt.head), len(prompt.tokens) - 1)]))
        for batch in _batches(chunks):
            hidden = self._feed(batch)
            start_logits = HostCopy(self._decoder.logits(hidden[:, batch[0].num_head_tokens - 1]).float())
            for index, chunk in enumerate(batch):
                chunk.window.start_logits, chunk.window.start_index = start_logits, index

    def _detect_languages(self, windows: Sequence[DeviceWindow]) -> None:
        """Feeds <|startoftranscript|> alone: previous text may be in another language and must not influence this."""
        if not windows:
            return
        batches = _batches([_Chunk(window, 0, window.slot.prompt.head[-1:]) for window in windows])
        copies = [HostCopy(self._decoder.logits(self._feed(batch)[:, 0]).float()) for batch in batches]
        for batch, copy in zip(batches, copies, strict=True):
            for chunk, logits in zip(batch, copy.wait(), strict=True):
                slot = chunk.window.slot
                slot.guesses = self._prompt_builder.guesses(logits, slot.prompt.languages)
                slot.prompt = self._prompt_builder.with_language(slot.prompt, slot.guesses, slot.job.options)

    def first_logits(self, window: DeviceWindow) -> Floats:
        """Logits after the whole prompt, (n_vocab,). Feeds the prompt's last token and waits for the result."""
        tokens = window.slot.prompt.tokens
        hidden = self._feed([_Chunk(window, len(tokens) - 1, tokens[-1:])])
        return HostCopy(self._decoder.logits(hidden[0, -1]).float()).wait()

    def alignment_weights(self, window: DeviceWindow, text: AlignmentText) -> HostCopy:
        """Cross-attention weights of the alignment heads, (n_heads, n_tokens, n_audio_ctx)."""
        tokens = index_tensor(text.tokens, self._cache.device)
        return HostCopy(self._decoder.alignment_weights(tokens, window.slot_index, self._cache))

    def _feed(self, chunks: Sequence[_Chunk]) -> Tensor:
        """Chunks of one size → hidden states (n_chunks, n_tokens, n_state)"""
        rows = index_tensor([chunk.window.rows[0] for chunk in chunks], self._cache.device)
        slots = index_tensor([chunk.window.slot_index for chunk in chunks], self._cache.device)
        tokens = to_device(torch.tensor([chunk.tokens for chunk in chunks]), self._cache.device)
        return self._decoder.prefill(tokens, chunks[0].first, rows, slots, self._cache)


def _batches(chunks: Sequence[_Chunk]) -> list[Sequence[_Chunk]]:
    """Chunks of one size together, at most MAX_BATCH of them."""
    ordered = sorted(chunks, key=lambda chunk: chunk.size)
    groups = [list(group) for _, group in groupby(ordered, key=lambda chunk: chunk.size)]
    return [group[first : first + MAX_BATCH] for group in groups for first in range(0, len(group), MAX_BATCH)]
