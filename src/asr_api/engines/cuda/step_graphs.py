"""Multi-step decoding: several decode steps without the host, each a CUDA graph, then a copy of the sampled tokens.

There is one captured graph for each bucket of row counts, so that a step costs the host one launch. The sampled tokens
of a run are read while the next run executes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from asr_api.engines.cuda.decode_state import DecodeState
from asr_api.engines.cuda.device import HostCopy
from asr_api.engines.cuda.filter_tables import FilterTables
from asr_api.engines.cuda.kernels.sample import sample
from asr_api.engines.cuda.kv_cache import KVCache
from asr_api.engines.cuda.model import TextDecoder

STEPS_PER_RUN = 8
NUM_WARM_UPS = 2  # runs before a capture, in which libraries allocate and compile


@dataclass(frozen=True, slots=True, eq=False)
class SampledTokens:
    """All tokens that the first rows have sampled so far."""

    tokens: HostCopy  # (n_rows, n_text_ctx) int32
    logprobs: HostCopy  # (n_rows, n_text_ctx) float32
    num_sampled: HostCopy  # (n_rows,) int32


class StepGraphs:
    """Runs decode steps over the first rows of a decode state."""

    def __init__(self, decoder: TextDecoder, cache: KVCache, state: DecodeState, tables: FilterTables) -> None:
        self._decoder = decoder
        self._cache = cache
        self._state = state
        self._tables = tables
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def capture(self) -> None:
        """Captures a graph for each bucket; no row may be active. Does nothing on a CPU."""
        if not self._state.tokens.is_cuda:
            return
        pool = None
        for n_rows in reversed(buckets(self._cache.n_rows)):  # largest first: the others reuse its memory
            for _ in range(NUM_WARM_UPS):
                self.step(n_rows)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool, stream=torch.cuda.current_stream()):
                self.step(n_rows)
            pool = pool or graph.pool()
            self._graphs[n_rows] = graph

    def run(self, num_rows: int) -> SampledTokens:
        """STEPS_PER_RUN steps over at least the first `num_rows` rows. Returns immediately, without waiting."""
        n_rows = bucket(num_rows, self._cache.n_rows)
        graph = self._graphs.get(n_rows)
        for _ in range(STEPS_PER_RUN):
            if graph is None:
                self.step(n_rows)
            else:
                graph.replay()
        state = self._state.first_rows(num_rows)
        return SampledTokens(HostCopy(state.out_tokens), HostCopy(state.out_logprobs), HostCopy(state.num_sampled))

    def step(self, n_rows: int) -> None:
        """One decode step of the first `n_rows` rows, without a graph."""
        state = self._state.first_rows(n_rows)
        logits = self._decoder.step(state.tokens, state.positions, state.slot_of_row, state.is_active, self._cache)
        sample(logits, state, self._tables)


def bucket(num_rows: int, n_rows: int) -> int:
    """The smallest bucket with at least `num_rows` of `n_rows` rows; kernels are compiled and captured for buckets."""
    return next(size for size in buckets(n_rows) if size >= num_rows)


def buckets(n_rows: int) -> list[int]:
    """1, 2, 4, … and `n_rows` itself."""
    sizes = [1]
    while sizes[-1] < n_rows:
        sizes.append(min(2 * sizes[-1], n_rows))
    return sizes
