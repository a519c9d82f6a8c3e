"""The engine contract: tests that every engine passes. Subclass it with an `engine` fixture that opens an engine."""

from __future__ import annotations

import dataclasses
import mmap
from collections.abc import Sequence

import numpy as np
import pytest

from asr_api.engines.protocol import Engine, WindowJob
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Pcm
from asr_api.transcript import WindowTranscript, Word
from tests.engines.sounds import sound
from tests.engines.transcribing import finish_all, run_jobs


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

    def test_every_job_finishes_once_after_a_warm_up(self, engine: Engine) -> None:
        slots = engine.info.n_slots
        engine.warm_up()
        assert engine.free_slots == slots >= 1
        assert engine.step() == []
        engine.admit(self.jobs(engine, range(slots)))
        assert engine.free_slots == 0
        assert sorted(finish_all(engine, slots)) == list(range(slots))
        assert engine.free_slots == slots
        assert engine.step() == []

    def test_times_are_inside_the_audio(self, engine: Engine) -> None:
        options = DecodeOptions(words=engine.info.has_word_timestamps)
        jobs = [dataclasses.replace(job, options=options) for job in self.jobs(engine, range(engine.info.n_slots))]
        finished = run_jobs(engine, jobs)
        for job in jobs:
            transcript, audio_ms = finished[job.job_id], len(job.pcm) // SAMPLES_PER_MS
            assert transcript.resume_ms is None or 0 < transcript.resume_ms < audio_ms
            for segment in transcript.segments:
                assert segment.end_ms <= audio_ms
                assert segment.text
                words = segment.words if options.words else (Word(segment.start_ms, segment.end_ms, segment.text),)
                assert "".join(word.text for word in words) == segment.text
                assert segment.start_ms <= words[0].start_ms <= words[-1].end_ms <= segment.end_ms

    def test_tokens_have_their_figures_and_their_bytes_only_if_asked_for(self, engine: Engine) -> None:
        plain = self.jobs(engine, range(engine.info.n_slots))
        asked = [dataclasses.replace(job, options=DecodeOptions(token_texts=True)) for job in plain]
        expected, finished = run_jobs(engine, plain), run_jobs(engine, asked)
        for job in plain:
            segments, without = finished[job.job_id].segments, expected[job.job_id].segments
            assert segments == without
            assert [segment.tokens for segment in segments] == [segment.tokens for segment in without]
            assert not any(segment.token_bytes for segment in without)
            for segment in segments:
                assert bool(segment.tokens) is engine.info.has_logprobs
                assert len(segment.tokens) == len(segment.logprobs) == len(segment.token_bytes)
                assert all(logprob <= 0 for logprob in segment.logprobs)
                assert not segment.tokens or b"".join(segment.token_bytes).decode(errors="replace") == segment.text
                assert segment.seek_ms == 0

    @pytest.mark.parametrize("is_mixed", [False, True])
    def test_transcript_is_independent_of_other_jobs(self, engine: Engine, is_mixed: bool) -> None:
        jobs = self.jobs(engine, range(engine.info.n_slots + 2))  # the last ones join running ones
        if is_mixed:
            options = self.mixed_options * (1 + (len(self.mixed_options) < 3))
            jobs = [WindowJob(index, self.pcm(engine, index), job_options) for index, job_options in enumerate(options)]
        alone = {job.job_id: run_jobs(engine, [job])[job.job_id] for job in jobs}
        for seed in range(2):
            order = np.random.RandomState(seed).permutation(len(jobs))
            together = run_jobs(engine, [jobs[index] for index in order])
            for index, transcript in alone.items():
                assert dataclasses.replace(together[index], guesses=()) == dataclasses.replace(transcript, guesses=())
                assert logprobs(together[index]) == pytest.approx(logprobs(transcript), abs=1e-4)

    def test_cancel_frees_slots_at_once_and_leaves_other_jobs_unchanged(self, engine: Engine) -> None:
        jobs = self.jobs(engine, range(engine.info.n_slots))
        last = len(jobs) - 1
        expected = run_jobs(engine, jobs[last:])[last].segments
        engine.admit(jobs)
        done = {finished.job_id: finished.transcript for finished in engine.step()}
        cancelled = [index for index in range(last) if index not in done][:2]
        free = engine.free_slots
        engine.cancel([*cancelled, 77])  # ignores unknown ids
        assert engine.free_slots == free + len(cancelled)
        left = set(range(len(jobs))) - done.keys() - set(cancelled)
        done |= (finished := finish_all(engine, len(left)))
        assert set(finished) == left
        assert done[last].segments == expected
        engine.cancel([last])
        assert engine.free_slots == engine.info.n_slots

    def test_jobs_that_do_not_fit_are_refused(self, engine: Engine) -> None:
        slots, samples = engine.info.n_slots, round(engine.info.window_s * SAMPLE_RATE_HZ) + 1
        with pytest.raises(ValueError, match=f"{slots + 1} jobs for {slots} free slots"):
            engine.admit(self.jobs(engine, range(slots + 1)))
        with pytest.raises(ValueError, match=f"a window has {samples} samples"):
            engine.admit([WindowJob(0, np.zeros(samples, np.int16), DecodeOptions())])
        assert engine.free_slots == slots

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
            finish_all(engine, 1)
        engine.step()
        np.testing.assert_array_equal(job.pcm, original)
        del job
        memory.close()


def logprobs(transcript: WindowTranscript) -> list[float]:
    """Of the segments whose model gives them."""
    qualities = [segment.quality for segment in transcript.segments if segment.quality is not None]
    return [quality.mean_logprob for quality in qualities if quality.mean_logprob is not None]
