"""Passes that are decoded together, with their rows in the KV caches: encoding, prefill and decode steps.

All batches share one cross-attention cache: one batch has its rows at the front, the other at the back. A window can
therefore move to the other batch without being encoded again, and no batch overwrites rows of the other.
"""

from __future__ import annotations

import numpy as np

from asr_api.engines.onnx.encoder_graph import Encoder
from asr_api.engines.onnx.kv_cache import CrossKvCache, SelfKvCache
from asr_api.engines.onnx.session import Array, Call, Session
from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.decoding import BeamSearchPass, Pass, TokenStepper
from asr_api.engines.whisper.logmel import log_mel
from asr_api.engines.whisper.prompt import AlignmentText, PromptBuilder
from asr_api.engines.whisper.slot import Slot

NO_INDICES = np.zeros(0, np.int64)


class Batch:
    """passes: in the order of their rows. Each window has `group` rows of self-attention and one of cross-attention."""

    def __init__(
        self,
        decoder: Session,
        stepper: TokenStepper,
        cross: CrossKvCache,
        config: WhisperConfig,
        group: int,
        *,
        is_at_back: bool,
    ) -> None:
        self.passes: list[Pass] = []
        self._decoder = decoder
        self._stepper = stepper
        self._cross = cross
        self._config = config
        self._group = group
        self._cache = SelfKvCache(config, cross.n_rows * group)
        self._is_at_back = is_at_back
        # Inputs and outputs of a step at fixed addresses, so that each call is prepared once.
        n_rows = cross.n_rows * group
        self._tokens, self._positions = np.zeros((n_rows, 1), np.int64), np.zeros((n_rows, 1), np.int64)
        self._last_positions, self._total_length = np.zeros(n_rows, np.int32), np.zeros((), np.int32)
        self._logits = np.zeros((n_rows, config.n_vocab), np.float32)
        self._calls: dict[tuple[int, int], Call] = {}

    @property
    def _first(self) -> int:
        return self._cross.n_rows - len(self.passes) if self._is_at_back else 0

    @property
    def _next_row(self) -> int:
        """The row of the cross-attention cache for the next window."""
        return self._first - 1 if self._is_at_back else len(self.passes)

    def add(self, slot: Slot, encoder: Encoder, prompts: PromptBuilder) -> None:
        """Encodes a window, prefills its prompt, and starts a pass over it.

        On two cores, encoding four windows at once took four times as long as one (whisper-tiny's shape).
        """
        row = self._next_row
        mel = log_mel(slot.job.pcm, self._config.n_mels, self._config.n_frames)
        encoder.encode(mel, self._cross.views(slice(row, row + 1)))
        if slot.prompt.language is None:  # detected without the previous text, which may be in another language
            start_logits, _ = self._prefill(row, slot.prompt.head[-1:], np.array([0]))
            slot.guesses = prompts.guesses(start_logits[0], slot.prompt.languages)
            slot.prompt = prompts.with_language(slot.prompt, slot.guesses, slot.job.options)
        tokens = slot.prompt.tokens
        logits, _ = self._prefill(row, tokens, np.array([len(slot.prompt.head) - 1, len(tokens) - 1]))
        rows = self._rows(row)
        self._cache.copy(slice(rows.start, rows.start + 1), slice(rows.start + 1, rows.stop), len(tokens))
        slot.no_speech_probability, slot.first_logits = prompts.no_speech_probability(logits[0]), logits[1]
        self._insert(self._stepper.start(slot))

    def move_from(self, other: Batch, index: int) -> None:
        """Moves a window from another batch and starts its next pass here."""
        slot, row = other.passes[index].slot, self._next_row
        source = other._first + index
        self._cross.copy(source, row)
        first = slice(source * other._group, source * other._group + 1)
        self._cache.copy(first, self._rows(row), len(slot.prompt.tokens), other._cache)
        other.remove(index)
        self._insert(self._stepper.start(slot))

    def restart(self, index: int) -> None:
        """Starts the next pass over a window in the same rows."""
        self.passes[index] = self._stepper.start(self.passes[index].slot)

    def remove(self, index: int) -> None:
        """The window at the open end of the batch moves into the gap."""
        end = 0 if self._is_at_back else len(self.passes) - 1
        source, target = self._first + end, self._first + index
        if source != target:
            self._cross.copy(source, target)
            self._cache.copy(self._rows(source), self._rows(target), max(self.passes[end].positions))
            self.passes[index] = self.passes[end]
        del self.passes[end]

    def step(self) -> None:
        rows = slice(self._first * self._group, (self._first + len(self.passes)) * self._group)
        self._tokens[rows, 0] = [token for running in self.passes for token in running.next_tokens]
        self._positions[rows, 0] = [position for running in self.passes for position in running.positions]
        self._last_positions[rows] = self._positions[rows, 0]
        if self._group == 1:
            self._run_decoder(self._first, len(self.passes))
        else:  # one window at a time: its cross-attention cache is read once for all of its rows
            for row in range(self._first, self._first + len(self.passes)):
                self._run_decoder(row, 1)
        self._stepper.step(self.passes, self._logits[rows])
        for index, running in enumerate(self.passes):
            if isinstance(running, BeamSearchPass) and (running.parents != np.arange(self._group)).any():
                rows = self._rows(self._first + index)
                self._cache.copy(rows.start + running.parents, rows, max(running.positions))

    def attention(self, index: int, text: AlignmentText) -> Floats:
        """Cross-attention of the alignment heads over a text, (n_heads, tokens, n_audio_ctx).

        Ends the pass: the text overwrites the KV cache of its first row.
        """
        attended = np.arange(len(text.tokens))
        return self._prefill(self._first + index, text.tokens, NO_INDICES, attended)[1]

    def _insert(self, started: Pass) -> None:
        self.passes.insert(0 if self._is_at_back else len(self.passes), started)

    def _rows(self, row: int) -> slice:
        """Of the self-attention cache, for a row of the cross-attention cache."""
        return slice(row * self._group, (row + 1) * self._group)

    def _run_decoder(self, first: int, num: int) -> None:
        rows = slice(first * self._group, (first + num) * self._group)
        self._total_length[...] = self._last_positions[rows].max() + 1
        if (first, num) not in self._calls:
            inputs: dict[str, Array] = {
                "tokens": self._tokens[rows],
                "positions": self._positions[rows],
                "last_positions": self._last_positions[rows],
                "total_length": self._total_length,
                "wanted": np.arange(num * self._group),
                "attended": NO_INDICES,
            }
            results: dict[str, Array] = {"logits": self._logits[rows], "attention": self._empty_attention(num, 0)}
            self._calls[first, num] = self._call(inputs, results, rows, slice(first, first + num))
        self._calls[first, num].run()

    def _prefill(
        self, row: int, tokens: tuple[int, ...], wanted: Array, attended: Array = NO_INDICES
    ) -> tuple[Floats, Floats]:
        """Feeds tokens to a window from the first position on.

        Returns the logits after the tokens `wanted`, and the attention (n_heads, n_attended, n_audio_ctx) of the tokens
        `attended`; both are indices.
        """
        num, first = len(tokens), row * self._group
        inputs: dict[str, Array] = {
            "tokens": np.array(tokens, np.int64)[None],
            "positions": np.arange(num)[None],
            "last_positions": np.array([num - 1], np.int32),
            "total_length": np.array(num, np.int32),
            "wanted": wanted,
            "attended": attended,
        }
        logits = np.zeros((len(wanted), self._config.n_vocab), np.float32)
        attention = self._empty_attention(1, len(attended))
        results: dict[str, Array] = {"logits": logits, "attention": attention}
        self._call(inputs, results, slice(first, first + 1), slice(row, row + 1)).run()
        return logits, attention[0]

    def _call(self, inputs: dict[str, Array], results: dict[str, Array], rows: slice, windows: slice) -> Call:
        inputs = {**inputs, **self._cache.views(rows), **self._cross.views(windows)}
        return self._decoder.call(inputs, {**results, **self._cache.new_views(rows), **self._cross.new_views(windows)})

    def _empty_attention(self, num_windows: int, num_tokens: int) -> Floats:
        config = self._config
        return np.zeros((num_windows, len(config.alignment_heads), num_tokens, config.n_audio_ctx), np.float32)
