"""Any Whisper checkpoint on a processor: PCM windows in, window transcripts out, with ONNX Runtime and no torch.

Windows wait, are encoded one after another, and are decoded together, each at its own position: one that comes later
joins the running batch, one that is done leaves it, one whose text looks wrong is tried again in a batch of its own.
What a window says never depends on its neighbours. Knows nothing about requests or where windows come from.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.cpu import processor_name, usable_cores
from asr_api.engines.onnx.batch import Batch
from asr_api.engines.onnx.compute_types import builder, chosen_type, encoder, notes
from asr_api.engines.onnx.decoder_graph import decoder_graph
from asr_api.engines.onnx.kv_cache import CrossCache
from asr_api.engines.onnx.session import Session
from asr_api.engines.protocol import EngineInfo, EngineOptions, FinishedJob, WindowJob, check_jobs
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.engines.whisper.decoding import TokenStepper
from asr_api.engines.whisper.fallback import BEST_OF, Attempt
from asr_api.engines.whisper.logmel import log_mel
from asr_api.engines.whisper.prompt import Prompter
from asr_api.engines.whisper.slot import Slot, TranscriptBuilder
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.word_timestamps import timed_words
from asr_api.errors import CheckpointError
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.transcript import Word

BURST_STEPS = 8
MAX_BURST_S = 0.25
URGENT_BURSTS = 16  # from one encoding to the next of windows that can wait, while urgent ones are written
WARM_UP_JOB = -1

logger = logging.getLogger(__name__)


class OnnxEngine:
    """Implements `asr_api.engines.protocol.Engine`."""

    def __init__(self, options: EngineOptions) -> None:
        """Raises CheckpointError when the folder holds no Whisper checkpoint that can be read, and SettingsError when
        this machine can't compute as it is told to.
        """
        checkpoint = open_checkpoint(options.checkpoint)
        self._spec = config = read_whisper_config(checkpoint)
        self._tokenizer = Tokenizer(checkpoint.tokenizer)
        self._prompter = Prompter(config, self._tokenizer)
        weights = checkpoint.tensors
        num_threads = options.num_threads or usable_cores()
        compute_type = chosen_type(options.compute_type)
        self._encoder = encoder(config, weights, compute_type, num_threads)
        decoder = Session(decoder_graph(config, builder(weights, compute_type)), num_threads)
        weights.forget()
        writer = TokenStepper(
            config, self._tokenizer, max_new_tokens=options.max_new_tokens, beam_size=options.beam_size
        )
        # One row more than windows: between the two batches there is always a free one.
        self._cross = CrossCache(config, options.n_slots + 1, is_int8=compute_type != "float32")
        self._firm = Batch(decoder, writer, self._cross, config, options.beam_size, is_at_back=False)
        self._sampled = Batch(decoder, writer, self._cross, config, BEST_OF, is_at_back=True)
        self._finisher = TranscriptBuilder(self._tokenizer)
        self._waiting: deque[WindowJob] = deque()
        self._num_bursts = 0  # since a window was encoded that could wait
        self._info = EngineInfo(
            model_id=options.model_id,
            engine="onnx",
            device_name=processor_name(),
            window_s=config.window_s,
            n_slots=options.n_slots,
            languages=self._prompter.languages,
            compute_type=compute_type,
            notes=notes(options),
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        return self._info.n_slots - len(self._firm.passes) - len(self._sampled.passes) - len(self._waiting)

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        """Raises InvalidParameter, and admits none, when a job asks for what the checkpoint cannot do."""
        check_jobs(jobs, self.free_slots, self._info.window_s)
        for job in jobs:
            self._prompter.prompt(job.options)
        self._waiting = deque(sorted((*self._waiting, *jobs), key=lambda job: not job.is_urgent))  # else in their order

    def step(self) -> list[FinishedJob]:
        """Encodes one window or decodes a burst: neither a newcomer nor a cancellation waits for longer than that."""
        if self._should_encode():
            job = self._waiting.popleft()
            self._encode(job)
            self._num_bursts = self._num_bursts if job.is_urgent else 0
            return []
        self._num_bursts += 1
        return self._burst()

    def _should_encode(self) -> bool:
        """Whether it is a window's turn to be encoded: all that wait are, for the fuller a batch, the better; but not
        while urgent ones are written. A clip's few tokens would take long if every slot that a long file fills anew
        kept them waiting.
        """
        if not self._waiting:
            return False
        if self._waiting[0].is_urgent or self._num_bursts >= URGENT_BURSTS:
            return True
        passes = (*self._firm.passes, *self._sampled.passes)
        return not any(each.slot.job.is_urgent for each in passes)

    def _burst(self) -> list[FinishedJob]:
        until_s = time.monotonic() + MAX_BURST_S
        for _ in range(BURST_STEPS):
            finished = self._settle(self._firm) + self._settle(self._sampled)
            if finished:
                return finished
            for batch in (self._firm, self._sampled):
                if batch.passes:
                    batch.step()
            if time.monotonic() >= until_s:
                break
        return self._settle(self._firm) + self._settle(self._sampled)

    def cancel(self, job_ids: Sequence[int]) -> None:
        self._waiting = deque(job for job in self._waiting if job.job_id not in job_ids)
        for batch in (self._firm, self._sampled):
            for index in reversed(range(len(batch.passes))):
                if batch.passes[index].slot.job.job_id in job_ids:
                    batch.remove(index)

    def warm_up(self) -> None:
        """Raises CheckpointError when the model computes no numbers."""
        self.admit([WindowJob(WARM_UP_JOB, np.zeros(SAMPLE_RATE_HZ, np.int16), DecodeOptions())])
        self._encode(self._waiting.popleft())
        first = self._firm.passes[0].slot.first_logits
        if first is None or not np.isfinite(first).all():
            raise CheckpointError(
                "The checkpoint's weights are broken: what it computes for silence is no number; fetch it again."
            )
        self.step()
        self.cancel([WARM_UP_JOB])

    def close(self) -> None:
        self._waiting.clear()
        del self._encoder, self._firm, self._sampled, self._cross

    def _encode(self, job: WindowJob) -> None:
        """One window at a time: on two cores a batch of four took four times as long (whisper-tiny's shape)."""
        slot = Slot(job, self._prompter.prompt(job.options))
        batch = self._sampled if slot.temperature else self._firm
        mel = log_mel(job.pcm, self._spec.n_mels, self._spec.n_frames)
        row = slice(batch.next_row, batch.next_row + 1)
        self._encoder.encode(mel, self._cross.views(row))
        batch.begin(slot, self._prompter)

    def _settle(self, batch: Batch) -> list[FinishedJob]:
        """Takes the passes that are done out of a batch: their windows are finished, or tried again."""
        finished = []
        while (index := next((i for i, each in enumerate(batch.passes) if each.is_done), None)) is not None:
            slot = batch.passes[index].slot
            attempt = self._finisher.settle(slot, batch.passes[index].candidates)
            if attempt is not None:
                finished.append(self._finish(batch, index, attempt))
                batch.remove(index)
            elif batch is self._sampled:
                batch.start_again(index)
            else:
                self._sampled.take_over(batch, index)
        return finished

    def _finish(self, batch: Batch, index: int, attempt: Attempt) -> FinishedJob:
        slot = batch.passes[index].slot
        transcript = self._finisher.transcript(slot, attempt, self._words(batch, index, attempt))
        if not attempt.candidate.is_whole:
            logger.warning("A window was broken off after %d tokens; it says so.", transcript.num_tokens)
        return FinishedJob(slot.job.job_id, transcript)

    def _words(self, batch: Batch, index: int, attempt: Attempt) -> tuple[tuple[Word, ...], ...]:
        """The words of each segment, where they are wanted."""
        slot = batch.passes[index].slot
        spans = self._finisher.spans(slot, attempt)
        if not slot.job.options.words or not spans:
            return ()
        fed = self._prompter.fed_text(slot.prompt, [token for span in spans for token in span.tokens])
        attention = batch.attention(index, fed)
        return timed_words(spans, attention, fed.first, self._tokenizer, slot.audio_ms)
