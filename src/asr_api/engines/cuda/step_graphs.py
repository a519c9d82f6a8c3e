"""Some decode steps in a row, without a word to the host; then what they wrote, copied to it on the way.

In go rows, out come snapshots to be read one burst late, while the next one runs. On a graphics card each step is a
captured graph, one for each number of rows: what a step costs the host is one launch. Knows nothing about windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr_api.engines.cuda.decode_state import DecodeState
from asr_api.engines.cuda.kernels.sample import sample
from asr_api.engines.cuda.kv_cache import Caches
from asr_api.engines.cuda.model import Decoder
from asr_api.engines.cuda.reference_ops import FilterTables

BURST_STEPS = 8
WARM_UPS = 2  # runs before a capture: libraries allocate and compile in the first ones


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Host copies of the first rows' texts so far; valid once `wait` has returned, until the burst after the next.

    tokens, logprobs: (n_rows, n_text_ctx); num_sampled: (n_rows,)
    """

    tokens: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    num_sampled: NDArray[np.int32]
    event: torch.cuda.Event | None

    def wait(self) -> None:
        if self.event is not None:
            self.event.synchronize()


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """Pinned memory for one snapshot."""

    tokens: Tensor
    logprobs: Tensor
    num_sampled: Tensor


class StepGraphs:
    """Runs steps over the first rows of a table."""

    def __init__(self, decoder: Decoder, caches: Caches, rows: DecodeState, rules: FilterTables) -> None:
        self._decoder = decoder
        self._caches = caches
        self._rows = rows
        self._rules = rules
        self._is_cuda = rows.tokens.is_cuda
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self._pages = [self._new_page() for _ in range(2)]

    def capture(self) -> None:
        """Records a step for each number of rows; no row may be active. Does nothing on a processor."""
        if not self._is_cuda:
            return
        pool = None
        for n_rows in reversed(buckets(self._caches.n_rows)):  # the greatest first: the others reuse its memory
            for _ in range(WARM_UPS):
                self._step(n_rows)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool, stream=torch.cuda.current_stream()):
                self._step(n_rows)
            pool = pool or graph.pool()
            self._graphs[n_rows] = graph

    def run(self, num_rows: int) -> Snapshot:
        """One burst over at least the first `num_rows` rows. Returns at once; nothing is waited for."""
        n_rows = bucket(num_rows, self._caches.n_rows)
        graph = self._graphs.get(n_rows)
        for _ in range(BURST_STEPS):
            if graph is None:
                self._step(n_rows)
            else:
                graph.replay()
        return self._snapshot(num_rows)

    def _step(self, n_rows: int) -> None:
        rows = self._rows.first(n_rows)
        logits = self._decoder.step(rows.tokens, rows.positions, rows.slot_of_row, rows.is_active, self._caches)
        sample(logits, rows, self._rules)

    def _snapshot(self, num_rows: int) -> Snapshot:
        page = self._pages.pop(0)
        self._pages.append(page)
        for target, source in (
            (page.tokens, self._rows.out_tokens),
            (page.logprobs, self._rows.out_logprobs),
            (page.num_sampled, self._rows.num_sampled),
        ):
            target[:num_rows].copy_(source[:num_rows], non_blocking=True)
        event = torch.cuda.Event() if self._is_cuda else None
        if event is not None:
            event.record()
        return Snapshot(page.tokens.numpy(), page.logprobs.numpy(), page.num_sampled.numpy(), event)

    def _new_page(self) -> _Page:
        tensors = (self._rows.out_tokens, self._rows.out_logprobs, self._rows.num_sampled)
        return _Page(*(torch.empty(each.shape, dtype=each.dtype, pin_memory=self._is_cuda) for each in tensors))


def bucket(num_rows: int, n_rows: int) -> int:
    """DecodeState of the smallest step over at least `num_rows` of `n_rows`: every kernel was built for it."""
    return next(size for size in buckets(n_rows) if size >= num_rows)


def buckets(n_rows: int) -> list[int]:
    """1, 2, 4, … and `n_rows` itself."""
    sizes = [1]
    while sizes[-1] < n_rows:
        sizes.append(min(2 * sizes[-1], n_rows))
    return sizes
