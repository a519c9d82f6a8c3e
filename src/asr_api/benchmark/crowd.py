"""Clients of a transcriber, in this process: each sends the next clip as soon as it has the text of the one before.

In: spools. Out: when each came back. Knows nothing about what is made of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import cycle

from asr_api.audio.sources.spool import Spool
from asr_api.benchmark.figures import Done
from asr_api.options import TranscribeOptions
from asr_api.transcriber import Transcriber, collect

LOOK_S = 0.02
MAX_STRETCH = 3  # times the time that was asked for, when the clips are slow


class Crowd:
    """done: in the order in which they came back; started_s: when the first was sent"""

    def __init__(self, transcriber: Transcriber, options: TranscribeOptions) -> None:
        self.done: list[Done] = []
        self.num_wordless = 0
        self.started_s = 0.0
        self._transcriber = transcriber
        self._options = options

    async def listen(self, clips: Sequence[Spool], num_clients: int, stretch_s: float) -> None:
        """So many clients, from the moment on when each has one text, for this long and for as many clips again; not
        for longer than three times this long. What is under way at the end is dropped. Raises what a request raises.
        """
        waiting = cycle(clips)
        self.started_s = time.perf_counter()
        clients = [asyncio.create_task(self._send(waiting)) for _ in range(num_clients)]
        full_s = None
        try:
            while True:
                failed, _ = await asyncio.wait(clients, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                for client in failed:
                    client.result()
                if len(self.done) < num_clients:
                    continue
                full_s = full_s or time.perf_counter()
                so_far_s = time.perf_counter() - full_s
                is_enough = len(self.done) >= 2 * num_clients
                if so_far_s >= (1 if is_enough else MAX_STRETCH) * stretch_s:
                    return
        finally:
            await _end(clients)

    async def transcribe_all(self, spools: Sequence[Spool], num_clients: int) -> None:
        """Each of them once, so many at a time. Raises what a request raises."""
        left = iter(spools)
        self.started_s = time.perf_counter()
        clients = [asyncio.create_task(self._send(left)) for _ in range(num_clients)]
        try:
            for client in clients:
                await client
        finally:
            await _end(clients)

    async def transcribe(self, spool: Spool) -> Done:
        """Raises what a request raises."""
        sent_s = time.perf_counter()
        transcript = await collect(self._transcriber.transcribe(spool, self._options))
        now_s = time.perf_counter()
        self.num_wordless += not transcript.text.strip()
        return Done(now_s, transcript.audio_ms / 1000, now_s - sent_s)

    async def _send(self, waiting: Iterator[Spool]) -> None:
        for spool in waiting:
            self.done.append(await self.transcribe(spool))


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Asks again until all have ended: a task may be past its last wait when it is asked."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1)
