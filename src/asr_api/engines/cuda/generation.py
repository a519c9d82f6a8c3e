"""Writes the texts of many windows at once: rows of the device for each pass, bursts, and what came of them.

In go windows that were heard and whose prompts were read, out come those whose pass is done. Greedy and sampled passes
run on the device alone; a beam search goes step by step, because it is the host that compares. Knows nothing about
what a finished pass is worth.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asr_api.engines.cuda.decode_state import DecodeState, RowInit, moved
from asr_api.engines.cuda.device import Device, HostCopy
from asr_api.engines.cuda.device_window import DeviceWindow
from asr_api.engines.cuda.kv_cache import Caches
from asr_api.engines.cuda.model import Decoder
from asr_api.engines.cuda.prefill import Prefill
from asr_api.engines.cuda.step_graphs import Snapshot, StepGraphs, bucket
from asr_api.engines.whisper.decoding import BeamSearchPass, Limits, SamplingPass, TokenStepper
from asr_api.engines.whisper.fallback import BEST_OF

BEAM_STEPS = 4  # between two looks at what else there is to do


@dataclass(frozen=True, slots=True, eq=False)
class _Burst:
    """A burst on its way, and the passes that were in it: what their windows do now may be something else."""

    snapshot: Snapshot
    members: tuple[tuple[DeviceWindow, SamplingPass], ...]


@dataclass(frozen=True, slots=True)
class Style:
    """limits: of every pass; beam_size: of those at temperature 0"""

    limits: Limits
    beam_size: int
    beams: TokenStepper


class Generator:
    def __init__(
        self, decoder: Decoder, caches: Caches, rows: DecodeState, machine: Device, bursts: StepGraphs, style: Style
    ) -> None:
        self._decoder = decoder
        self._caches = caches
        self._rows = rows
        self._machine = machine
        self._bursts = bursts
        self._style = style
        self._free = list(range(caches.n_rows))  # a heap: the fewer rows a step looks at, the cheaper it is
        self._starts: dict[int, RowInit] = {}
        self._stops: set[int] = set()
        self._writing: list[DeviceWindow] = []
        self._burst: _Burst | None = None

    @property
    def is_idle(self) -> bool:
        return not self._writing and self._burst is None

    def take_row(self, window: DeviceWindow) -> bool:
        """The row for the window's prompt; False when none is free."""
        if not self._free:
            return False
        window.rows = [heapq.heappop(self._free)]
        return True

    def begin(self, window: DeviceWindow, reader: Prefill) -> bool:
        """A pass over a window whose prompt was read; False when there are too few free rows for it now."""
        slot, prompt = window.slot, window.slot.prompt.tokens
        is_beams = slot.temperature == 0 and self._style.beam_size > 1
        num = self._style.beam_size if is_beams else BEST_OF if slot.temperature else 1
        if len(self._free) < num - 1:
            return False
        num_read = len(prompt) - 1
        if is_beams:
            slot.first_logits = reader.first_logits(window)
            num_read = len(prompt)
        window.rows += [heapq.heappop(self._free) for _ in range(num - 1)]
        if num > 1:
            self._caches.copy_text(window.rows[0], self._moved(window.rows[1:]), num_read)
        window.one = self._style.beams.start(slot) if is_beams else self._open_rows(window)
        window.num_taken = 0
        self._writing.append(window)
        return True

    def write(self) -> None:
        """Begins a burst, if there is anything to write; does not wait for it. BeamSearch are a few steps further."""
        members = tuple(
            (window, window.one)
            for window in self._writing
            if isinstance(window.one, SamplingPass) and not window.one.is_done
        )
        if self._stops:
            self._rows.stop(sorted(self._stops))
            self._stops.clear()
        if self._starts:
            self._rows.begin(list(self._starts.values()), self._style.limits.timestamp_begin)
            self._starts.clear()
        before, self._burst = self._burst, None
        if members:
            num_rows = 1 + max(row for window, _ in members for row in window.rows)
            self._burst = _Burst(self._bursts.run(num_rows), members)
        self._write_beams()
        if before is not None:
            self._take(before)

    def take_done(self) -> list[DeviceWindow]:
        """Windows whose pass is done; they keep their first row, and their pass until another begins."""
        done = [window for window in self._writing if window.one is not None and window.one.is_done]
        for window in done:
            self._writing.remove(window)
            self._release(window.rows[1:])
            self._stops.add(window.rows[0])
            del window.rows[1:]
        return done

    def leave(self, window: DeviceWindow) -> None:
        """Gives all rows of a window back, whatever it is doing."""
        if window in self._writing:
            self._writing.remove(window)
        self._release(window.rows)
        window.rows, window.one = [], None

    def _release(self, rows: Sequence[int]) -> None:
        for row in rows:
            heapq.heappush(self._free, row)
            self._stops.add(row)
            self._starts.pop(row, None)

    def _open_rows(self, window: DeviceWindow) -> SamplingPass:
        slot, prompt = window.slot, window.slot.prompt.tokens
        one = SamplingPass(slot, self._style.limits)
        n_text_ctx = self._rows.uniforms.shape[1]
        is_sampled = slot.temperature > 0
        uniforms = np.array([one.draw_uniforms() for _ in range(n_text_ctx)]).T if is_sampled else None
        for index, row in enumerate(window.rows):
            own = None if uniforms is None else uniforms[index]
            position = len(prompt) - 1
            self._starts[row] = RowInit(
                row, window.place, prompt[-1], position, slot.has_timestamps, slot.temperature, own
            )
        return one

    def _take(self, burst: _Burst) -> None:
        """Tells the passes what their rows wrote in a burst."""
        burst.snapshot.wait()
        for window, one in burst.members:
            if window.one is not one:  # cancelled, or it began again
                continue
            rows = window.rows
            upto = int(burst.snapshot.num_sampled[rows].max())
            tokens = burst.snapshot.tokens[rows, window.num_taken : upto].T.tolist()
            logprobs = burst.snapshot.logprobs[rows, window.num_taken : upto].T.tolist()
            for step_tokens, step_logprobs in zip(tokens, logprobs, strict=True):
                if one.is_done:
                    break
                one.append_tokens(step_tokens, step_logprobs)
            window.num_taken = upto

    def _write_beams(self) -> None:
        for _ in range(BEAM_STEPS):
            beams = [
                (window, window.one)
                for window in self._writing
                if isinstance(window.one, BeamSearchPass) and not window.one.is_done
            ]
            if not beams:
                return
            rows = [row for window, _ in beams for row in window.rows]
            logits = self._beam_logits(beams, rows)
            self._style.beams.step([one for _, one in beams], logits)
            parents = [window.rows[parent] for window, one in beams for parent in one.parents.tolist()]
            if parents != rows:
                num_tokens = max(max(one.positions) for _, one in beams)
                self._caches.reorder(self._moved(parents), self._moved(rows), num_tokens)

    def _beam_logits(self, beams: Sequence[tuple[DeviceWindow, BeamSearchPass]], rows: Sequence[int]) -> np.ndarray:
        """One step of these rows alone, (rows, n_vocab) float32."""
        n_rows = bucket(1 + max(rows), self._caches.n_rows)
        fed = torch.zeros(4, n_rows, dtype=torch.int64)  # tokens, positions, slots, activity
        fed[0, rows] = torch.tensor([token for _, one in beams for token in one.next_tokens])
        fed[1, rows] = torch.tensor([position for _, one in beams for position in one.positions])
        fed[2, rows] = torch.tensor([window.place for window, _ in beams for _ in window.rows])
        fed[3, rows] = 1
        tokens, positions, slots, is_active = moved(fed, self._machine.device)
        logits = self._decoder.step(tokens, positions.int(), slots.int(), is_active.bool(), self._caches)
        return HostCopy(logits[self._moved(rows)].float()).wait()

    def _moved(self, numbers: Sequence[int]) -> Tensor:
        return moved(torch.tensor(numbers, dtype=torch.int64), self._machine.device)
