"""How fast a model with its settings is here: one long file, so many clips at once, several numbers of slots.

In: settings, a recording, a plan. Out: findings, each of which a watcher is told as soon as it is there. All audio goes
the way of a request: decoder, windows, queue, engine process. Knows nothing about terminals.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Protocol

from asr_api.benchmark import figures
from asr_api.benchmark.crowd import Crowd
from asr_api.benchmark.figures import ClipFigures, FileFigures, Findings, SlotFigures, rate_of_clips, rate_of_runs
from asr_api.benchmark.machine import CpuTimes, PeakMemory, cpu_use, read_cpu_times
from asr_api.benchmark.speech import MAX_FILE_S, Speech
from asr_api.compose import open_transcriber
from asr_api.engines.cpu import usable_cores
from asr_api.engines.protocol import EngineInfo
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.parameters import check_parameters
from asr_api.settings.settings import Settings
from asr_api.transcriber import Transcriber

NUM_FILE_RUNS = 3
# Parts of the time there is: a run over the file, a stretch with one client, with several.
FILE_PART, ALONE_PART, CLIENTS_PART = 0.05, 0.04, 0.08
FULL = 1.25  # clients for each slot, so that none has to wait for its next window
TOO_LATE = 1.25  # nothing is begun that would end after this many times the time there is
NOISY_CORES = 0.15  # that others took from those that we may use


@dataclass(frozen=True, slots=True)
class Plan:
    """clients: how many at once, in turn; slots: which numbers of them to compare; time_s: for all of it, roughly"""

    clients: tuple[int, ...] = (1, 8, 32)
    slots: tuple[int, ...] = (4, 8, 16, 32)
    time_s: float = 60.0


class Watcher(Protocol):
    def on_step(self, step: str) -> None:
        """This is done now."""

    def on_ready(self, info: EngineInfo, load_s: float) -> None: ...

    def on_found(self, found: FileFigures | ClipFigures | SlotFigures) -> None: ...


async def measure(
    settings: Settings, speech: Speech, options: TranscribeOptions, plan: Plan, watcher: Watcher
) -> Findings:
    """Raises StartupError when there is no engine, and what a request would for options that it can't honour."""
    return await _Bench(settings, speech, options, plan, watcher).run()


class _Bench:
    def __init__(
        self, settings: Settings, speech: Speech, options: TranscribeOptions, plan: Plan, watcher: Watcher
    ) -> None:
        self._settings = settings
        self._speech = speech
        self._options = options
        self._plan = plan
        self._watcher = watcher
        self._started_s = time.perf_counter()
        self._notes: list[str] = []
        self._load_s = 0.0
        self._clip_s = 0.0  # what a clip costs when many are under way
        self._num_wordless = self._num_clips = 0

    async def run(self) -> Findings:
        before, own_slots = read_cpu_times(), self._settings.batch_size
        self._watcher.on_step("loading the model")
        with PeakMemory(os.getpid()) as memory:
            async with self._engine(own_slots) as transcriber:
                info = transcriber.info
                check_parameters(self._options, info)
                self._watcher.on_ready(info, self._load_s)
                load_s = self._load_s
                file = await self._measure_file(transcriber)
                clips = [found for num in self._plan.clients if (found := await self._measure_clips(transcriber, num))]
                peak_bytes = memory.peak_bytes
                run = await self._fill_own(transcriber, memory)
        slots = await self._compare_slots(run) if run else []
        noise = figures.noise_of(slots)
        others = self._judge(before, read_cpu_times())
        return Findings(
            model_id=info.model_id,
            engine=info.engine,
            device_name=info.device_name,
            num_cores=usable_cores(),
            num_slots=info.n_slots,
            load_s=load_s,
            clip_s=self._speech.clip_s,
            file=file,
            clips=tuple(clips),
            slots=tuple(slots),
            best_slots=figures.best_slots(slots, noise),
            noise=noise,
            peak_bytes=peak_bytes,
            num_other_cores=others,
            took_s=self._elapsed_s,
            notes=tuple(self._notes),
        )

    @contextlib.asynccontextmanager
    async def _engine(self, num_slots: int) -> AsyncIterator[Transcriber]:
        most = 2 * max(*self._plan.clients, *self._plan.slots, num_slots)
        no_limits = {"max_requests": most, "max_audio_s": 2 * MAX_FILE_S}  # nothing of ours is refused
        settings = self._settings.model_copy(update={"batch_size": num_slots, **no_limits})
        started_s = time.perf_counter()
        async with open_transcriber(settings, Metrics()) as transcriber:
            self._load_s = time.perf_counter() - started_s
            yield transcriber

    # -- one long file -----------------------------------------------------------------------------------------

    async def _measure_file(self, transcriber: Transcriber) -> FileFigures:
        """After a first run, which warms up and tells how long a file there is time for."""
        self._watcher.on_step("warming up")
        crowd = Crowd(transcriber, self._options)
        warm = await crowd.transcribe(await self._speech.short_file())
        self._clip_s = warm.took_s / math.ceil(warm.audio_s / transcriber.info.window_s)
        part_s = FILE_PART * self._plan.time_s
        spool = await self._speech.long_file(warm.audio_s / warm.took_s * part_s)
        parts: list[float] = []
        before = read_cpu_times()
        while True:
            self._watcher.on_step(f"one long file, run {len(parts) + 1} of {NUM_FILE_RUNS}")
            done = await crowd.transcribe(spool)
            parts.append(done.audio_s / done.took_s)
            if len(parts) == NUM_FILE_RUNS or self._is_late(done.took_s):
                break
        found = FileFigures(done.audio_s, rate_of_runs(parts), cpu_use(before, read_cpu_times()))
        self._watcher.on_found(found)
        return found

    # -- many clips --------------------------------------------------------------------------------------------

    async def _measure_clips(self, transcriber: Transcriber, num_clients: int) -> ClipFigures | None:
        part_s = self._plan.time_s * (ALONE_PART if num_clients == 1 else CLIENTS_PART)
        is_first = num_clients == min(self._plan.clients)  # of all figures, this one is the cheapest
        if not is_first and self._is_late(num_clients * self._clip_s + part_s):
            self._leave_out(f"{num_clients} clients at once")
            return None
        self._watcher.on_step(f"{num_clients} clients at once")
        before = read_cpu_times()
        crowd = await self._listen(transcriber, num_clients, part_s)
        times_s = [clip.took_s for clip in crowd.done]
        found = ClipFigures(
            num_clients,
            len(crowd.done),
            rate_of_clips(crowd.done, num_clients, crowd.started_s),
            figures.percentile(times_s, 50),
            figures.percentile(times_s, 95),
            cpu_use(before, read_cpu_times()),
        )
        self._watcher.on_found(found)
        return found

    async def _listen(self, transcriber: Transcriber, num_clients: int, part_s: float) -> Crowd:
        crowd = Crowd(transcriber, self._options)
        await crowd.listen(self._speech.clips, num_clients, part_s)
        self._num_wordless += crowd.num_wordless
        self._num_clips += len(crowd.done)
        self._clip_s = (crowd.done[-1].at_s - crowd.started_s) / len(crowd.done)
        return crowd

    # -- several numbers of slots ------------------------------------------------------------------------------

    async def _fill_own(self, transcriber: Transcriber, memory: PeakMemory) -> SlotFigures | None:
        """None where nothing is to be compared, or there is no time for two of them."""
        if not set(self._plan.slots) - {transcriber.info.n_slots}:
            return None
        if self._is_late(2 * len(self._speech.windows) * self._clip_s):
            self._leave_out("other numbers of slots")
            return None
        return await self._fill(transcriber, memory)

    async def _compare_slots(self, first: SlotFigures) -> list[SlotFigures]:
        """Round after round while there is time, the number that is set at the end of each: what changed is noise."""
        found = [first]
        others = [num_slots for num_slots in self._plan.slots if num_slots != first.num_slots]
        cost_s = self._load_s + self._speech.windows_s / first.rate.rtfx
        for num_slots in cycle([*others, first.num_slots]):
            is_enough = num_slots == first.num_slots or len({each.num_slots for each in found}) < len(found)
            if self._is_late(cost_s if is_enough else 2 * cost_s):  # time for a repetition is left, or nothing is noise
                if is_enough:
                    break
                continue
            self._watcher.on_step(f"{num_slots} slots: loading the model")
            with PeakMemory(os.getpid()) as memory:
                async with self._engine(num_slots) as transcriber:
                    found.append(await self._fill(transcriber, memory))
        tried = sorted({each.num_slots for each in found})
        if left_out := [str(num_slots) for num_slots in others if num_slots not in tried]:
            self._leave_out(f"{', '.join(left_out)} slots")
        return [self._merge([each for each in found if each.num_slots == num_slots]) for num_slots in tried]

    async def _fill(self, transcriber: Transcriber, memory: PeakMemory) -> SlotFigures:
        num_slots = transcriber.info.n_slots
        self._watcher.on_step(f"{num_slots} slots")
        crowd = Crowd(transcriber, self._options)
        await crowd.transcribe(self._speech.clips[0])  # the first request starts what later ones find
        await crowd.transcribe_all(self._speech.windows, math.ceil(FULL * num_slots))
        audio_s = sum(window.audio_s for window in crowd.done)
        rate = rate_of_runs([audio_s / (crowd.done[-1].at_s - crowd.started_s)])
        return SlotFigures(num_slots, rate, memory.peak_bytes)

    def _merge(self, same: Sequence[SlotFigures]) -> SlotFigures:
        rate = rate_of_runs([part for each in same for part in each.rate.parts])
        merged = SlotFigures(same[0].num_slots, rate, same[-1].peak_bytes)
        self._watcher.on_found(merged)
        return merged

    # -- time, and what else to know ---------------------------------------------------------------------------

    @property
    def _elapsed_s(self) -> float:
        return time.perf_counter() - self._started_s

    def _is_late(self, cost_s: float) -> bool:
        return self._elapsed_s + cost_s > TOO_LATE * self._plan.time_s

    def _leave_out(self, what: str) -> None:
        self._notes.append(f"There was no time for {what}; give more with --seconds.")

    def _judge(self, before: CpuTimes | None, after: CpuTimes | None) -> float | None:
        """Cores that others took; notes what makes the figures doubtful."""
        if 2 * self._num_wordless > self._num_clips:
            self._notes.append(
                f"The model heard no words in {self._num_wordless} of {self._num_clips} clips: speech that it "
                "understands may take longer. Name a recording in its language."
            )
        use = cpu_use(before, after)
        if use is None:
            self._notes.append("This system does not tell what processes take: memory and CPU times are missing.")
            return None
        contested = use.num_other_cores + usable_cores() - (os.cpu_count() or 1)
        if contested > NOISY_CORES:
            self._notes.append(
                f"Other programs took {contested:.1f} of the {usable_cores()} cores meanwhile: "
                "these figures are too low, and differ more than they would on a quiet machine."
            )
        return use.num_other_cores
