"""The CUDA engine: admits windows, schedules encoding, prefill and decoding, and returns transcripts.

Continuous batching: windows are encoded in batches on one stream and decoded together on another. Windows join, finish
or fall back to the next temperature between two runs of decode steps. While a run executes, the host reads the tokens
of the run before. A window's text does not depend on the other windows.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_api.engines.cuda.device import EngineStream
from asr_api.engines.cuda.device_window import DeviceWindow, FinishedWindow
from asr_api.engines.cuda.encoding import WindowEncoder
from asr_api.engines.cuda.generation import Generator
from asr_api.engines.cuda.prefill import Prefill
from asr_api.engines.cuda.word_timestamps import WordTimestamps
from asr_api.engines.protocol import EngineInfo, FinishedJob, WindowJob, check_jobs
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.transcript_builder import TranscriptBuilder
from asr_api.errors import CheckpointError
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ

WARM_UP_JOB = -1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Stages:
    """The stages of a window, in order."""

    prompt_builder: PromptBuilder
    encoder: WindowEncoder
    prefill: Prefill
    generator: Generator
    transcript_builder: TranscriptBuilder
    word_timestamps: WordTimestamps


class CudaEngine:
    """Implements `asr_api.engines.protocol.Engine`; `open_cuda_engine` makes one."""

    def __init__(self, info: EngineInfo, stages: Stages, stream: EngineStream) -> None:
        self._info = info
        self._stages = stages
        self._stream = stream
        self._free_slots = list(range(info.n_slots))
        self._waiting: deque[Slot] = deque()
        self._encoded: list[DeviceWindow] = []  # encoded, or being encoded; prefill comes next
        self._prefilled: list[DeviceWindow] = []  # waiting for a pass, the first or one of temperature fallback
        self._windows: dict[int, DeviceWindow] = {}  # by job, from encoding until finished

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        return self._info.n_slots - len(self._waiting) - len(self._windows)

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        """Raises InvalidParameter, and admits none, when the checkpoint cannot do the options of a job."""
        check_jobs(jobs, self.free_slots, self._info.window_s)
        self._waiting += [Slot(job, self._stages.prompt_builder.build(job.options)) for job in jobs]

    def step(self) -> list[FinishedJob]:
        """Starts encoding and a run of decode steps; waits only for the run before that one."""
        with self._stream.running():
            self._run_prefill()  # of windows encoded meanwhile, before the encoder is busy with the next batch
            self._start_encoding()
            self._run_prefill()
            generator, prefill = self._stages.generator, self._stages.prefill
            self._prefilled = [window for window in self._prefilled if not generator.start_pass(window, prefill)]
            generator.step()
            return self._pop_finished()

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Raises RuntimeError when the device is lost, so that the service restarts this process."""
        if self._stream.is_lost:
            raise RuntimeError("the GPU is lost to this process, which has to end")
        self._waiting = deque(slot for slot in self._waiting if slot.job.job_id not in job_ids)
        for job_id in job_ids:
            if job_id in self._windows:
                self._release(self._windows[job_id])

    def warm_up(self) -> None:
        """Raises CheckpointError when the model computes NaN or infinity."""
        with self._stream.running():
            self._stages.generator.capture_graphs()
        silence, options = np.zeros(SAMPLE_RATE_HZ, np.int16), DecodeOptions(temperatures=(0.0,))
        for num in range(1, self._stages.encoder.max_batch + 1):  # each batch size is planned, built and allocated now
            jobs = [WindowJob(WARM_UP_JOB - index, silence, options) for index in range(num)]
            self.admit(jobs)
            self._check_start_logits(jobs[0].job_id)
            self.step()
            self.cancel([job.job_id for job in jobs])
            self.step()

    def close(self) -> None:
        self._waiting.clear()
        self.cancel(list(self._windows))

    def _check_start_logits(self, job_id: int) -> None:
        """Encodes and prefills the waiting jobs as `step` does, and checks the result of one."""
        with self._stream.running():
            self._start_encoding()
            self._run_prefill()
            logits = self._windows[job_id].start_logits
            if logits is not None and not np.isfinite(logits.wait()).all():
                raise CheckpointError(
                    "The checkpoint's weights are broken: the logits for silence contain NaN or infinity; "
                    "fetch the checkpoint again."
                )

    def _start_encoding(self) -> None:
        """Encodes the next windows, if the last batch is done."""
        encoder = self._stages.encoder
        if not self._waiting or not encoder.is_done:
            return
        slots = [self._waiting[index] for index in range(min(len(self._waiting), len(self._free_slots)))]
        num_encoded = encoder.encode([slot.job.pcm for slot in slots], self._free_slots[: len(slots)])
        for slot in slots[:num_encoded]:
            self._waiting.popleft()
            self._windows[slot.job.job_id] = window = DeviceWindow(slot, self._free_slots.pop(0))
            self._encoded.append(window)

    def _run_prefill(self) -> None:
        """Prefills encoded windows. When nothing is decoded, it does so although the device is still encoding them."""
        encoder, generator = self._stages.encoder, self._stages.generator
        if not self._encoded or not (encoder.is_done or generator.is_idle):
            return
        ready = [window for window in self._encoded if generator.allocate_row(window)]
        if ready:
            encoder.make_current_stream_wait()
            self._stages.prefill.run(ready)
        self._encoded = self._encoded[len(ready) :]
        self._prefilled += ready

    def _pop_finished(self) -> list[FinishedJob]:
        """Finishes windows whose pass is done, or queues them for the next temperature or for word timestamps."""
        builder, word_timestamps = self._stages.transcript_builder, self._stages.word_timestamps
        finished = [self._finish(window) for window in word_timestamps.pop_finished()]
        for window in self._stages.generator.pop_finished():
            window.set_no_speech_probability(self._stages.prompt_builder)
            candidate = builder.assess_candidates(
                window.slot, window.current_pass.candidates if window.current_pass else []
            )
            if candidate is None:
                self._prefilled.append(window)
            elif window.slot.job.options.words and (segments := builder.segments(window.slot, candidate)):
                word_timestamps.start(window, candidate, segments)
            else:
                finished.append(self._finish(FinishedWindow(window, candidate)))
        return finished

    def _finish(self, finished: FinishedWindow) -> FinishedJob:
        slot = finished.window.slot
        transcript = self._stages.transcript_builder.transcript(slot, finished.candidate, finished.words)
        if not finished.candidate.is_whole:
            logger.warning(
                "Decoding of a window stopped after %d tokens; its segments are marked as doubtful.",
                transcript.num_tokens,
            )
        self._release(finished.window)
        return FinishedJob(slot.job.job_id, transcript)

    def _release(self, window: DeviceWindow) -> None:
        self._stages.generator.release(window)
        self._stages.word_timestamps.release(window)
        del self._windows[window.slot.job.job_id]
        self._encoded = [other for other in self._encoded if other is not window]
        self._prefilled = [other for other in self._prefilled if other is not window]
        self._free_slots.append(window.slot_index)
