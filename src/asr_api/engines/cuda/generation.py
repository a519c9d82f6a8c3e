"""Decodes the texts of many windows at once: allocates KV cache rows, runs decode steps, appends tokens to passes.

Greedy and sampled passes run in multi-step decoding on the device alone. Beam search runs step by step, because the
host compares the beams.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from asr_api.engines.cuda.decode_state import DecodeState, RowInit
from asr_api.engines.cuda.device import HostCopy, index_tensor, to_device
from asr_api.engines.cuda.device_window import DeviceWindow
from asr_api.engines.cuda.kv_cache import KVCache
from asr_api.engines.cuda.model import TextDecoder
from asr_api.engines.cuda.prefill import Prefill
from asr_api.engines.cuda.step_graphs import SampledTokens, StepGraphs, bucket
from asr_api.engines.whisper.decoding import BeamSearchPass, Limits, SamplingPass, TokenStepper
from asr_api.engines.whisper.fallback import BEST_OF

BEAM_STEPS = 4  # beam search steps in one `Generator.step`


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One run of decode steps and its passes; when it is read, their windows may be cancelled or in another pass."""

    sampled: SampledTokens
    members: tuple[tuple[DeviceWindow, SamplingPass], ...]


@dataclass(frozen=True, slots=True)
class DecodingConfig:
    limits: Limits  # of every pass
    beam_size: int  # at temperature 0; 1 is greedy
    beam_stepper: TokenStepper


class Generator:
    def __init__(
        self,
        decoder: TextDecoder,
        cache: KVCache,
        state: DecodeState,
        step_graphs: StepGraphs,
        config: DecodingConfig,
    ) -> None:
        self._decoder = decoder
        self._cache = cache
        self._state = state
        self._step_graphs = step_graphs
        self._config = config
        self._free_rows = list(range(cache.n_rows))  # a heap: a step costs as much as the highest row in use
        self._row_inits: dict[int, RowInit] = {}
        self._rows_to_stop: set[int] = set()
        self._decoding: list[DeviceWindow] = []
        self._last_run: _Run | None = None  # not read yet

    @property
    def is_idle(self) -> bool:
        return not self._decoding and self._last_run is None

    def capture_graphs(self) -> None:
        """Captures the CUDA graphs of all decode steps. Call only while no window is being decoded."""
        self._step_graphs.capture()

    def allocate_row(self, window: DeviceWindow) -> bool:
        """Allocates the row for the window's prompt; False when none is free."""
        if not self._free_rows:
            return False
        window.rows = [heapq.heappop(self._free_rows)]
        return True

    def start_pass(self, window: DeviceWindow, prefill: Prefill) -> bool:
        """Starts a pass over a window whose prompt is in the cache; False when there are too few free rows now."""
        slot, prompt = window.slot, window.slot.prompt.tokens
        is_beam_search = slot.temperature == 0 and self._config.beam_size > 1
        num_rows = self._config.beam_size if is_beam_search else BEST_OF if slot.temperature else 1
        if len(self._free_rows) < num_rows - 1:
            return False
        num_cached = len(prompt) - 1
        if is_beam_search:
            slot.first_logits = prefill.first_logits(window)
            num_cached = len(prompt)
        window.rows += [heapq.heappop(self._free_rows) for _ in range(num_rows - 1)]
        if num_rows > 1:
            self._cache.copy_row(window.rows[0], index_tensor(window.rows[1:], self._cache.device), num_cached)
        stepper = self._config.beam_stepper
        window.current_pass = stepper.start(slot) if is_beam_search else self._start_sampling_pass(window)
        window.num_read_tokens = 0
        self._decoding.append(window)
        return True

    def step(self) -> None:
        """Enqueues a run of decode steps and reads the run before it. Beam searches advance by BEAM_STEPS."""
        members = tuple(
            (window, window.current_pass)
            for window in self._decoding
            if isinstance(window.current_pass, SamplingPass) and not window.current_pass.is_done
        )
        if self._rows_to_stop:
            self._state.stop_rows(sorted(self._rows_to_stop))
            self._rows_to_stop.clear()
        if self._row_inits:
            self._state.start_rows(list(self._row_inits.values()), self._config.limits.kinds.timestamps.start)
            self._row_inits.clear()
        previous_run, self._last_run = self._last_run, None
        if members:
            num_rows = 1 + max(row for window, _ in members for row in window.rows)
            self._last_run = _Run(self._step_graphs.run(num_rows), members)
        self._step_beams()
        if previous_run is not None:
            self._append_tokens(previous_run)

    def pop_finished(self) -> list[DeviceWindow]:
        """Windows whose pass is done. They keep the row of the prompt, and the pass until the next one starts."""
        finished = [
            window for window in self._decoding if window.current_pass is not None and window.current_pass.is_done
        ]
        for window in finished:
            self._decoding.remove(window)
            self._release_rows(window.rows[1:])
            self._rows_to_stop.add(window.rows[0])
            del window.rows[1:]
        return finished

    def release(self, window: DeviceWindow) -> None:
        """Frees all rows of a window, whatever its state."""
        if window in self._decoding:
            self._decoding.remove(window)
        self._release_rows(window.rows)
        window.rows, window.current_pass = [], None

    def _release_rows(self, rows: Sequence[int]) -> None:
        for row in rows:
            heapq.heappush(self._free_rows, row)
            self._rows_to_stop.add(row)
            self._row_inits.pop(row, None)

    def _start_sampling_pass(self, window: DeviceWindow) -> SamplingPass:
        slot, prompt = window.slot, window.slot.prompt.tokens
        sampling_pass = SamplingPass(slot, self._config.limits)
        n_text_ctx = self._state.uniforms.shape[1]
        is_sampled = slot.temperature > 0
        uniforms = np.array([sampling_pass.draw_uniforms() for _ in range(n_text_ctx)]).T if is_sampled else None
        for index, row in enumerate(window.rows):
            self._row_inits[row] = RowInit(
                row=row,
                slot=window.slot_index,
                token=prompt[-1],
                position=len(prompt) - 1,
                has_timestamps=slot.has_timestamps,
                temperature=slot.temperature,
                uniforms=None if uniforms is None else uniforms[index],
            )
        return sampling_pass

    def _append_tokens(self, run: _Run) -> None:
        """Appends the tokens that the rows sampled in a run to their passes."""
        sampled = run.sampled
        all_tokens, all_logprobs, num_sampled = (
            copy.wait() for copy in (sampled.tokens, sampled.logprobs, sampled.num_sampled)
        )
        for window, sampling_pass in run.members:
            if window.current_pass is not sampling_pass:  # cancelled, or decoded again meanwhile
                continue
            rows, first = window.rows, window.num_read_tokens
            last = int(num_sampled[rows].max())
            tokens = all_tokens[rows, first:last].T.tolist()
            logprobs = all_logprobs[rows, first:last].T.tolist()
            for step_tokens, step_logprobs in zip(tokens, logprobs, strict=True):
                if sampling_pass.is_done:
                    break
                sampling_pass.append_tokens(step_tokens, step_logprobs)
            window.num_read_tokens = last

    def _step_beams(self) -> None:
        for _ in range(BEAM_STEPS):
            members = [
                (window, window.current_pass)
                for window in self._decoding
                if isinstance(window.current_pass, BeamSearchPass) and not window.current_pass.is_done
            ]
            if not members:
                return
            rows = [row for window, _ in members for row in window.rows]
            logits = self._beam_logits(members, rows)
            self._config.beam_stepper.step([beam_pass for _, beam_pass in members], logits)
            parents = [window.rows[parent] for window, beam_pass in members for parent in beam_pass.parents.tolist()]
            if parents != rows:
                num_tokens = max(max(beam_pass.positions) for _, beam_pass in members)
                sources, targets = index_tensor(parents, self._cache.device), index_tensor(rows, self._cache.device)
                self._cache.reorder_rows(sources, targets, num_tokens)

    def _beam_logits(self, members: Sequence[tuple[DeviceWindow, BeamSearchPass]], rows: Sequence[int]) -> np.ndarray:
        """One decode step of these rows alone, (rows, n_vocab) float32."""
        n_rows = bucket(1 + max(rows), self._cache.n_rows)
        inputs = torch.zeros(4, n_rows, dtype=torch.int64)  # tokens, positions, slots, activity
        inputs[0, rows] = torch.tensor([token for _, beam_pass in members for token in beam_pass.next_tokens])
        inputs[1, rows] = torch.tensor([position for _, beam_pass in members for position in beam_pass.positions])
        inputs[2, rows] = torch.tensor([window.slot_index for window, _ in members for _ in window.rows])
        inputs[3, rows] = 1
        tokens, positions, slots, is_active = to_device(inputs, self._cache.device)
        logits = self._decoder.step(tokens, positions.int(), slots.int(), is_active.bool(), self._cache)
        return HostCopy(logits[index_tensor(rows, self._cache.device)].float()).wait()
