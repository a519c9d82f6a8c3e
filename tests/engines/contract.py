"""The engine contract: tests that every engine passes. Subclass it with an `engine` fixture that opens a fresh engine.

class TestScripted(EngineContract):
    @pytest.fixture
    def engine(self) -> Iterator[Engine]: ...
"""

from __future__ import annotations

import dataclasses
import mmap
from collections.abc import Sequence

import numpy as np
import pytest

from asr_api.engines.protocol import Engine, WindowJob
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLES_PER_MS, Pcm
from asr_api.transcript import WindowTranscript
from tests.engines.sounds import sound


class EngineContract:
    """Override `pcm` for an engine that needs another kind of audio.

    mixed_options: of windows that are decoded side by side
    """

    mixed_options: tuple[DecodeOptions, ...] = (DecodeOptions(),)

    def pcm(self, engine: Engine, index: int) -> Pcm:
        """Windows that differ; every other one is shorter than the model's."""
        return sound(engine.info.window_s * (0.4 if index % 2 else 1), seed=index)

    def jobs(self, engine: Engine, indices: Sequence[int]) -> list[WindowJob]:
        return [WindowJob(index, self.pcm(engine, index), DecodeOptions()) for index in indices]

    def finish(self, engine: Engine, expected: int) -> dict[int, WindowTranscript]:
        """Steps until so many jobs are done; none may be reported twice."""
        finished: dict[int, WindowTranscript] = {}
        for _ in range(10_000):
            for done in engine.step():
                assert done.job_id not in finished
                finished[done.job_id] = done.transcript
            if len(finished) >= expected:
                return finished
        pytest.fail(f"{sorted(finished)} finished, {expected} were expected")

    def test_info(self, engine: Engine) -> None:
        info = engine.info
        assert info.model_id
        assert info.engine
        assert info.device_name
        assert info.window_s > 0
        assert engine.free_slots == info.n_slots >= 1

    def test_idle_step(self, engine: Engine) -> None:
        assert engine.step() == []

    def test_every_job_finishes_once(self, engine: Engine) -> None:
        slots = engine.info.n_slots
        engine.admit(self.jobs(engine, range(slots)))
        assert engine.free_slots == 0
        assert sorted(self.finish(engine, slots)) == list(range(slots))
        assert engine.free_slots == slots
        assert engine.step() == []

    def test_times_are_inside_the_audio(self, engine: Engine) -> None:
        jobs = self.jobs(engine, range(engine.info.n_slots))
        engine.admit(jobs)
        finished = self.finish(engine, len(jobs))
        for job in jobs:
            transcript = finished[job.job_id]
            audio_ms = len(job.pcm) // SAMPLES_PER_MS
            assert all(segment.end_ms <= audio_ms for segment in transcript.segments)
            assert all(segment.text for segment in transcript.segments)
            assert transcript.resume_ms is None or 0 < transcript.resume_ms < audio_ms

    def test_job_joins_running_ones(self, engine: Engine) -> None:
        first, *rest = self.jobs(engine, range(engine.info.n_slots))
        engine.admit([first])
        early = {done.job_id for done in engine.step()}
        engine.admit(rest)
        late = set(self.finish(engine, engine.info.n_slots - len(early)))
        assert early | late == set(range(engine.info.n_slots))

    def test_transcript_is_independent_of_the_batch(self, engine: Engine) -> None:
        alone: dict[int, WindowTranscript] = {}
        for job in self.jobs(engine, range(engine.info.n_slots)):
            engine.admit([job])
            alone |= self.finish(engine, 1)
        for order in (range(engine.info.n_slots), reversed(range(engine.info.n_slots))):
            engine.admit(self.jobs(engine, list(order)))
            together = self.finish(engine, engine.info.n_slots)
            for index, transcript in alone.items():
                assert together[index].segments == transcript.segments
                assert logprobs(together[index]) == pytest.approx(logprobs(transcript), abs=1e-4)

    def test_transcript_is_independent_of_mixed_options(self, engine: Engine) -> None:
        jobs = [
            WindowJob(index, self.pcm(engine, index), options)
            for index, options in enumerate(self.mixed_options * (1 + (len(self.mixed_options) < 3)))
        ]
        alone: dict[int, WindowTranscript] = {}
        for job in jobs:
            engine.admit([job])
            alone |= self.finish(engine, 1)
        for seed in range(2):
            waiting = [jobs[index] for index in np.random.RandomState(seed).permutation(len(jobs))]
            together: dict[int, WindowTranscript] = {}
            while len(together) < len(jobs):
                free = engine.free_slots
                engine.admit(waiting[:free])
                del waiting[:free]
                together |= {done.job_id: done.transcript for done in engine.step()}
            for index, transcript in alone.items():
                assert dataclasses.replace(together[index], guesses=()) == dataclasses.replace(transcript, guesses=())
                assert logprobs(together[index]) == pytest.approx(logprobs(transcript), abs=1e-4)

    def test_cancel_frees_the_slot_at_once(self, engine: Engine) -> None:
        slots = engine.info.n_slots
        engine.admit(self.jobs(engine, range(slots)))
        done = {finished.job_id for finished in engine.step()}
        cancelled = [index for index in range(slots) if index not in done][:2]
        free = engine.free_slots
        engine.cancel(cancelled)
        assert engine.free_slots == free + len(cancelled)
        left = set(range(slots)) - done - set(cancelled)
        assert set(self.finish(engine, len(left))) == left
        assert engine.free_slots == slots

    def test_cancel_leaves_other_jobs_unchanged(self, engine: Engine) -> None:
        last = engine.info.n_slots - 1
        engine.admit(self.jobs(engine, [last]))
        expected = self.finish(engine, 1)[last].segments
        engine.admit(self.jobs(engine, range(engine.info.n_slots)))
        done = {finished.job_id: finished.transcript for finished in engine.step()}
        engine.cancel(range(last))
        if last not in done:
            done |= self.finish(engine, 1)
        assert done[last].segments == expected
        assert engine.free_slots == engine.info.n_slots

    def test_cancel_ignores_unknown_ids(self, engine: Engine) -> None:
        engine.admit(self.jobs(engine, [0]))
        engine.cancel([7, 8])
        assert set(self.finish(engine, 1)) == {0}
        engine.cancel([0])
        assert engine.free_slots == engine.info.n_slots

    @pytest.mark.parametrize("is_cancelled", [False, True])
    def test_pcm_is_unchanged_and_released(self, engine: Engine, is_cancelled: bool) -> None:
        """The PCM is a view of memory that the caller unmaps a step after the job; that fails while a view exists."""
        original = self.pcm(engine, 0)
        memory = mmap.mmap(-1, max(1, original.nbytes))
        job = WindowJob(0, np.frombuffer(memory, np.int16, len(original)), DecodeOptions())
        job.pcm[:] = original
        engine.admit([job])
        if is_cancelled:
            engine.cancel([0])
        else:
            self.finish(engine, 1)
        engine.step()
        np.testing.assert_array_equal(job.pcm, original)
        del job
        memory.close()

    def test_warm_up_leaves_no_job(self, engine: Engine) -> None:
        engine.warm_up()
        assert engine.free_slots == engine.info.n_slots
        assert engine.step() == []
        engine.admit(self.jobs(engine, [0]))
        assert set(self.finish(engine, 1)) == {0}


def logprobs(transcript: WindowTranscript) -> list[float]:
    return [segment.quality.mean_logprob for segment in transcript.segments if segment.quality is not None]
