"""Any Whisper checkpoint on a processor: PCM windows in, window transcripts out, with ONNX Runtime and no torch.

Windows wait, are encoded one after another, and are decoded together, each at its own position: one that comes later
joins the running batch, one that is done leaves it. What a window says never depends on its neighbours.
Knows nothing about requests or where windows come from.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from asr_api.engines.onnx.caches import Caches
from asr_api.engines.onnx.cores import processor_name, usable_cores
from asr_api.engines.onnx.graph import decoder_graph, encoder_graph
from asr_api.engines.onnx.session import Session
from asr_api.engines.protocol import SAMPLE_RATE_HZ, EngineInfo, EngineOptions, FinishedJob, WindowJob
from asr_api.engines.whisper.logmel import HOP_SAMPLES, log_mel
from asr_api.engines.whisper.slots import SlotTable
from asr_api.engines.whisper.spec import read_spec
from asr_api.engines.whisper.weights import Weights
from asr_api.options import TranscribeOptions
from asr_api.text.tokenizer import Tokenizer

# One `step` encodes for about this long and then decodes for about this long, so that cancellation is prompt and
# windows of small models are still encoded many at a time between two bursts.
MOMENT_S = 0.25
BURST_STEPS = 8
WARM_UP_JOB = -1
FLASH_ATTENTION_NOTE = "FLASH_ATTENTION_2 has no effect on a CPU: it is a GPU kernel."


class OnnxEngine:
    """Implements `asr_api.engines.protocol.Engine`."""

    def __init__(self, options: EngineOptions) -> None:
        """Raises CheckpointError when the folder holds no Whisper checkpoint that can be read."""
        self._spec = read_spec(options.checkpoint)
        tokenizer = Tokenizer(options.checkpoint)
        weights = Weights(options.checkpoint)
        num_threads = options.num_threads or usable_cores()
        self._encoder = Session(encoder_graph(self._spec, weights), num_threads)
        self._decoder = Session(decoder_graph(self._spec, weights), num_threads)
        self._caches = Caches(self._spec, options.slots)
        self._slots = SlotTable(self._spec, tokenizer, options.max_new_tokens)
        self._waiting: deque[WindowJob] = deque()
        self._info = EngineInfo(
            model_id=options.model_id,
            engine="onnx",
            device_name=processor_name(),
            window_s=self._spec.window_s,
            slots=options.slots,
            languages=self._slots.languages,
            notes=(FLASH_ATTENTION_NOTE,) if options.flash_attention_2 else (),
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        return self._info.slots - len(self._slots) - len(self._waiting)

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        """Raises InvalidParameter, and admits none, when a job asks for what the checkpoint cannot do."""
        if len(jobs) > self.free_slots:
            raise ValueError(f"{len(jobs)} jobs for {self.free_slots} free slots; this is a bug")
        for job in jobs:
            if len(job.pcm) > self._spec.n_frames * HOP_SAMPLES:
                raise ValueError(f"a window of {len(job.pcm)} samples is longer than the model's; this is a bug")
            self._slots.prompt_for(job.options)
        self._waiting += [WindowJob(job.job_id, job.pcm.copy(), job.options) for job in jobs]

    def step(self) -> list[FinishedJob]:
        until_s = time.monotonic() + MOMENT_S
        while self._waiting:
            self._encode(self._waiting.popleft())
            if time.monotonic() >= until_s:
                break
        until_s = time.monotonic() + MOMENT_S
        for _ in range(BURST_STEPS):
            if not len(self._slots):
                break
            finished = self._decode()
            if finished:
                self.cancel([done.job_id for done in finished])
                return finished
            if time.monotonic() >= until_s:
                break
        return []

    def cancel(self, job_ids: Sequence[int]) -> None:
        self._waiting = deque(job for job in self._waiting if job.job_id not in job_ids)
        for job_id in job_ids:
            row = self._slots.row_of(job_id)
            if row is not None:
                last = self._slots.free(row)
                if row != last:
                    self._caches.move(last, row)

    def warm_up(self) -> None:
        self.admit([WindowJob(WARM_UP_JOB, np.zeros(SAMPLE_RATE_HZ, np.int16), TranscribeOptions())])
        self.step()
        self.cancel([WARM_UP_JOB])

    def close(self) -> None:
        self.cancel([job.job_id for job in self._waiting])
        del self._encoder, self._decoder, self._caches

    def _encode(self, job: WindowJob) -> None:
        """One window at a time: on two cores a batch of four took four times as long (whisper-tiny's shape)."""
        mel = log_mel(job.pcm, self._spec.n_mels, self._spec.n_frames)
        self._encoder.run_into({"log_mel": mel[None]}, self._caches.cross_views(len(self._slots)))
        self._slots.add(job)

    def _decode(self) -> list[FinishedJob]:
        """One step of all rows."""
        positions = self._slots.positions()
        inputs = self._caches.step_inputs(positions)
        logits, keys, values = self._decoder.run(
            {"tokens": self._slots.next_tokens(), "positions": positions, **inputs}
        )
        self._caches.store(positions, keys, values)
        return self._slots.take(logits)
