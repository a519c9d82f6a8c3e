"""Passes decoded together, with the rows of the caches that belong to them.

A batch holds its windows side by side in the cross cache that all batches share: one at its front, another at its back,
so that a window changes batches without being heard again, and no batch runs over another's rows. Knows nothing about
what passes make of logits.
"""

from __future__ import annotations

import numpy as np

from asr_api.engines.onnx.caches import CrossCache, Floats, SelfCache
from asr_api.engines.onnx.session import Array, Session
from asr_api.engines.whisper.passes import BeamPass, Pass, Writer
from asr_api.engines.whisper.prompt import FedText, Prompter
from asr_api.engines.whisper.slots import Slot
from asr_api.engines.whisper.spec import WhisperSpec

NOTHING = np.zeros(0, np.int64)


class Batch:
    """passes: in the order of their rows. Each window has `group` rows of self caches and one of the cross cache."""

    def __init__(
        self, decoder: Session, writer: Writer, cross: CrossCache, spec: WhisperSpec, group: int, *, is_at_back: bool
    ) -> None:
        self.passes: list[Pass] = []
        self._decoder = decoder
        self._writer = writer
        self._cross = cross
        self._group = group
        self._cache = SelfCache(spec, cross.n_rows * group)
        self._is_at_back = is_at_back

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
            (alone,) = self._read(row, slot.prompt.head[-1:], 0, (0,))
            slot.guesses = prompter.guesses(alone, slot.prompt.languages)
            slot.prompt = prompter.detected(slot.prompt, slot.guesses, slot.job.options)
        tokens = slot.prompt.tokens
        start, slot.first_logits = self._read(row, tokens, 0, (len(slot.prompt.head) - 1, len(tokens) - 1))
        slot.no_speech_probability = prompter.no_speech_probability(start)
        self._add(self._writer.open(slot))

    def take_over(self, other: Batch, index: int) -> None:
        """Starts another pass over a window of another batch, which loses it."""
        slot, row = other.passes[index].slot, self.next_row
        num_tokens = len(slot.prompt.tokens)
        self._fit(num_tokens, *self._num_cached())
        source = other._first + index
        self._cross.copy(source, row)
        self._cache.take_over(other._cache, source * other._group, self._rows(row), num_tokens)
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
            self._cache.copy(self._rows(source), self._rows(target))
            self.passes[index] = self.passes[end]
        del self.passes[end]

    def step(self) -> None:
        """One more token for each row of each pass."""
        tokens = np.array([token for each in self.passes for token in each.next_tokens], np.int64)
        positions = np.array([position for each in self.passes for position in each.positions], np.int64)
        self._fit(int(positions.max()))
        is_seen = np.arange(self._cache.room + 1) < positions[:, None]
        is_seen[:, -1] = True  # itself
        first, num = self._first * self._group, len(tokens)
        logits, keys, values, _ = self._decoder.run(
            {
                "tokens": tokens[:, None],
                "positions": positions[:, None],
                "mask": np.where(is_seen, np.float32(0), np.float32(-np.inf))[:, None, None, :],
                "wanted": np.arange(num),
                "attended": NOTHING,
                **self._cache.views(first, num),
                **self._cross.views(self._first, len(self.passes)),
            }
        )
        self._cache.append(first, positions, keys, values)
        self._writer.write(self.passes, logits)
        self._follow_parents()

    def attention(self, index: int, fed: FedText) -> Floats:
        """Where the alignment heads look as they read a text, (n_heads, tokens, n_audio_ctx)."""
        row = self._first + index
        inputs = self._inputs(row, fed.tokens, 0)
        results = self._decoder.run({**inputs, "wanted": NOTHING, "attended": np.arange(len(fed.tokens))})
        attention: Floats = results[-1][0]
        return attention

    def _add(self, one: Pass) -> None:
        self.passes.insert(0 if self._is_at_back else len(self.passes), one)

    def _rows(self, row: int) -> slice:
        """Of the self caches, for a row of the cross cache."""
        return slice(row * self._group, (row + 1) * self._group)

    def _read(self, row: int, tokens: tuple[int, ...], start: int, wanted: tuple[int, ...]) -> Floats:
        """Feeds tokens of a window's prompt, the first of them at position `start`; logits after those `wanted`."""
        self._fit(start + len(tokens), *self._num_cached())
        inputs = self._inputs(row, tokens, start)
        logits, keys, values, _ = self._decoder.run(
            {**inputs, "wanted": np.array(wanted, np.int64), "attended": NOTHING}
        )
        self._cache.fill(self._rows(row), start, keys, values)
        return logits

    def _inputs(self, row: int, tokens: tuple[int, ...], start: int) -> dict[str, Array]:
        """Some tokens of one window, the first of them at position `start`: each sees those before it."""
        num = len(tokens)
        own = np.triu(np.full((num, num), -np.inf, np.float32), 1)
        cached = np.where(np.arange(self._cache.room) < start, np.float32(0), np.float32(-np.inf))
        mask = np.concatenate([np.broadcast_to(cached, (num, len(cached))), own], axis=1)
        return {
            "tokens": np.array(tokens, np.int64)[None],
            "positions": np.arange(start, start + num)[None],
            "mask": mask[None, None],
            **self._cache.views(row * self._group, 1),
            **self._cross.views(row, 1),
        }

    def _num_cached(self) -> list[int]:
        return [position for each in self.passes for position in each.positions]

    def _fit(self, *num_cached: int) -> None:
        """Room for so many tokens and the next, in the rows of all windows and of the next window."""
        row, n_rows = self.next_row, self._cross.n_rows
        rows = slice(max(row, 0), n_rows) if self._is_at_back else slice(0, row + 1)
        self._cache.fit(max(num_cached) + 1, slice(rows.start * self._group, rows.stop * self._group))

    def _follow_parents(self) -> None:
        beams = [each for each in self.passes if isinstance(each, BeamPass)]
        sources = [self._rows(self._first + index).start + each.parents for index, each in enumerate(beams)]
        first, num = self._first * self._group, len(beams) * self._group
        if sources and (np.concatenate(sources) != np.arange(first, first + num)).any():
            self._cache.copy(np.concatenate(sources), slice(first, first + num))
