"""Passes decoded together, with the rows of the caches that belong to them.

A batch holds its windows side by side in the cross cache that all batches share: one at its front, another at its back,
so that a window changes batches without being heard again, and no batch runs over another's rows. Knows nothing about
what passes make of logits.
"""

from __future__ import annotations

import numpy as np

from asr_api.engines.onnx.kv_cache import CrossCache, SelfCache
from asr_api.engines.onnx.session import Array, Call, Floats, Session
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.decoding import BeamSearchPass, Pass, TokenStepper
from asr_api.engines.whisper.prompt import FedText, Prompter
from asr_api.engines.whisper.slot import Slot

NOTHING = np.zeros(0, np.int64)


class Batch:
    """passes: in the order of their rows. Each window has `group` rows of self caches and one of the cross cache."""

    def __init__(
        self,
        decoder: Session,
        writer: TokenStepper,
        cross: CrossCache,
        config: WhisperConfig,
        group: int,
        *,
        is_at_back: bool,
    ) -> None:
        self.passes: list[Pass] = []
        self._decoder = decoder
        self._writer = writer
        self._cross = cross
        self._spec = config
        self._group = group
        self._cache = SelfCache(config, cross.n_rows * group)
        self._is_at_back = is_at_back
        # What a step reads and writes, at fixed places, so that its calls are prepared once.
        n_rows = cross.n_rows * group
        self._tokens, self._positions = np.zeros((n_rows, 1), np.int64), np.zeros((n_rows, 1), np.int64)
        self._num_seen, self._longest = np.zeros(n_rows, np.int32), np.zeros((), np.int32)
        self._logits = np.zeros((n_rows, config.n_vocab), np.float32)
        self._steps: dict[tuple[int, int], Call] = {}

    @property
    def _first(self) -> int:
        return self._cross.n_rows - len(self.passes) if self._is_at_back else 0

    @property
    def next_row(self) -> int:
        """Of the cross cache: where the next window goes."""
        return self._first - 1 if self._is_at_back else len(self.passes)

    def begin(self, slot: Slot, prompter: Prompter) -> None:
        """Reads the prompt of a window that was heard into `next_row`, and starts a pass over it."""
        row = self.next_row
        if slot.prompt.language is None:  # earlier text, maybe in another language, has no say in it
            alone, _ = self._read(row, slot.prompt.head[-1:], np.array([0]))
            slot.guesses = prompter.guesses(alone[0], slot.prompt.languages)
            slot.prompt = prompter.detected(slot.prompt, slot.guesses, slot.job.options)
        tokens = slot.prompt.tokens
        logits, _ = self._read(row, tokens, np.array([len(slot.prompt.head) - 1, len(tokens) - 1]))
        rows = self._rows(row)
        self._cache.copy(slice(rows.start, rows.start + 1), slice(rows.start + 1, rows.stop), len(tokens))
        slot.no_speech_probability, slot.first_logits = prompter.no_speech_probability(logits[0]), logits[1]
        self._add(self._writer.open(slot))

    def take_over(self, other: Batch, index: int) -> None:
        """Starts another pass over a window of another batch, which loses it."""
        slot, row = other.passes[index].slot, self.next_row
        source = other._first + index
        self._cross.copy(source, row)
        self._cache.take_over(other._cache, source * other._group, self._rows(row), len(slot.prompt.tokens))
        other.remove(index)
        self._add(self._writer.open(slot))

    def start_again(self, index: int) -> None:
        """Another pass over a window."""
        self.passes[index] = self._writer.open(self.passes[index].slot)

    def remove(self, index: int) -> None:
        """The window at the open end moves into the gap."""
        end = 0 if self._is_at_back else len(self.passes) - 1
        source, target = self._first + end, self._first + index
        if source != target:
            self._cross.copy(source, target)
            self._cache.copy(self._rows(source), self._rows(target), max(self.passes[end].positions))
            self.passes[index] = self.passes[end]
        del self.passes[end]

    def step(self) -> None:
        """One more token for each row of each pass."""
        rows = slice(self._first * self._group, (self._first + len(self.passes)) * self._group)
        self._tokens[rows, 0] = [token for each in self.passes for token in each.next_tokens]
        self._positions[rows, 0] = [position for each in self.passes for position in each.positions]
        self._num_seen[rows] = self._positions[rows, 0]
        if self._group == 1:
            self._step(self._first, len(self.passes))
        else:  # the rows of one window at a time: its caches are read once for all of them
            for row in range(self._first, self._first + len(self.passes)):
                self._step(row, 1)
        self._writer.write(self.passes, self._logits[rows])
        self._follow_parents()

    def attention(self, index: int, fed: FedText) -> Floats:
        """Where the alignment heads look as they read a text, (n_heads, tokens, n_audio_ctx). Ends the pass: what its
        first row said is overwritten.
        """
        attended = np.arange(len(fed.tokens))
        _, attention = self._read(self._first + index, fed.tokens, NOTHING, attended)
        alone: Floats = attention[0]
        return alone

    def _add(self, one: Pass) -> None:
        self.passes.insert(0 if self._is_at_back else len(self.passes), one)

    def _rows(self, row: int) -> slice:
        """Of the self caches, for a row of the cross cache."""
        return slice(row * self._group, (row + 1) * self._group)

    def _step(self, first: int, num: int) -> None:
        """For the windows in rows first …"""
        rows = slice(first * self._group, (first + num) * self._group)
        self._longest[...] = self._num_seen[rows].max() + 1
        if (first, num) not in self._steps:
            inputs: dict[str, Array] = {
                "tokens": self._tokens[rows],
                "positions": self._positions[rows],
                "num_seen": self._num_seen[rows],
                "longest": self._longest,
                "wanted": np.arange(num * self._group),
                "attended": NOTHING,
            }
            results: dict[str, Array] = {"logits": self._logits[rows], "attention": self._attention(num, 0)}
            self._steps[first, num] = self._call(inputs, results, rows, slice(first, first + num))
        self._steps[first, num].run()

    def _read(
        self, row: int, tokens: tuple[int, ...], wanted: Array, attended: Array = NOTHING
    ) -> tuple[Floats, Floats]:
        """Feeds tokens to a window, from the first position on → logits after those `wanted`, attention of those
        `attended`.
        """
        num, first = len(tokens), row * self._group
        inputs: dict[str, Array] = {
            "tokens": np.array(tokens, np.int64)[None],
            "positions": np.arange(num)[None],
            "num_seen": np.array([num - 1], np.int32),
            "longest": np.array(num, np.int32),
            "wanted": wanted,
            "attended": attended,
        }
        logits, attention = np.zeros((len(wanted), self._spec.n_vocab), np.float32), self._attention(1, len(attended))
        results: dict[str, Array] = {"logits": logits, "attention": attention}
        self._call(inputs, results, slice(first, first + 1), slice(row, row + 1)).run()
        return logits, attention

    def _call(self, inputs: dict[str, Array], results: dict[str, Array], rows: slice, windows: slice) -> Call:
        inputs = {**inputs, **self._cache.views(rows), **self._cross.views(windows)}
        return self._decoder.call(inputs, {**results, **self._cache.new_views(rows), **self._cross.new_views(windows)})

    def _attention(self, num_windows: int, num_tokens: int) -> Floats:
        config = self._spec
        return np.zeros((num_windows, len(config.alignment_heads), num_tokens, config.n_audio_ctx), np.float32)

    def _follow_parents(self) -> None:
        for index, each in enumerate(self.passes):
            if isinstance(each, BeamSearchPass) and (each.parents != np.arange(self._group)).any():
                rows = self._rows(self._first + index)
                self._cache.copy(rows.start + each.parents, rows, max(each.positions))
