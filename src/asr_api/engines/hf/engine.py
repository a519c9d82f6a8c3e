"""The engine for models of transformers other than Whisper. Each step runs one batch of windows to its end.

Windows wait in order of admission. The oldest runs together with those of similar length in its language.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch

from asr_api.engines.checkpoints.adapters import find_adapters
from asr_api.engines.cpu import processor_name, usable_cores
from asr_api.engines.hf.batching import BatchRule, choose_batch
from asr_api.engines.hf.loading import Kind, LoadedModel, choose_device, load_model
from asr_api.engines.hf.model_runner import ModelRunner
from asr_api.engines.hf.segments import ModelOutput, TokenText, timed_segments, whole_segment
from asr_api.engines.protocol import EngineInfo, EngineOptions, FinishedJob, WindowJob, check_jobs
from asr_api.errors import InvalidParameter
from asr_api.pcm import SAMPLE_RATE_HZ, SAMPLES_PER_MS
from asr_api.transcript import WindowTranscript

logger = logging.getLogger(__name__)

WINDOW_S = 30.0  # these models take any length; memory grows with its square
# On a CPU a batch is no faster than one long window, and a step should be short because a cancellation waits for it.
MAX_BATCH_S = WINDOW_S


class HfEngine:
    """Implements `asr_api.engines.protocol.Engine`."""

    def __init__(self, options: EngineOptions) -> None:
        """Raises CheckpointError when the checkpoint cannot transcribe, or cannot be read."""
        torch.set_num_threads(options.num_threads or usable_cores())
        device = choose_device()
        loaded = load_model(options.checkpoint)
        self._kind = loaded.kind
        self._runner = ModelRunner(loaded, device, beam_size=options.beam_size)
        self._vocabulary = TokenText(loaded.tokenizer)
        self._adapters = find_adapters(options.checkpoint) if loaded.has_adapters else {}
        self._default_language = self._find_default_language(loaded)
        max_batch_s = MAX_BATCH_S if device.type == "cpu" else options.n_slots * WINDOW_S
        self._max_samples = round(max_batch_s * SAMPLE_RATE_HZ)
        self._waiting: list[WindowJob] = []
        self._info = EngineInfo(
            model_id=options.model_id,
            engine="hf",
            device_name=processor_name() if device.type == "cpu" else torch.cuda.get_device_name(device),
            window_s=WINDOW_S,
            n_slots=options.n_slots,
            languages=tuple(self._adapters),
            default_language=self._default_language,
            can_detect_language=False,
            can_translate=False,
            can_prompt=False,
            can_sample=False,
            has_word_timestamps=loaded.kind is not Kind.ENCODER_DECODER,
            has_logprobs=False,
            compute_type=str(loaded.model.dtype).removeprefix("torch."),
            notes=(*loaded.notes, *self._notes(options, loaded.model_type)),
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        return self._info.n_slots - len(self._waiting)

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        """Raises InvalidParameter, and admits none, when the model has no adapter for the language of a job.

        Options that `info` rules out are refused before a job is made; they have no effect here.
        """
        check_jobs(jobs, self.free_slots, WINDOW_S)
        for job in jobs:
            language = self._language_of(job)
            if language is not None and language not in self._adapters:  # in `step` it would fail the whole batch
                raise InvalidParameter(
                    f"language is {language}, which this model does not support; "
                    f"use one of {', '.join(self._adapters)}."
                )
        self._waiting += jobs

    def step(self) -> list[FinishedJob]:
        batch = choose_batch(self._waiting, BatchRule(self._runner.may_pad, self._max_samples), self._language_of)
        if not batch:
            return []
        language = self._language_of(batch[0])
        if language is not None:
            self._runner.load_adapter(self._adapters[language])
        try:
            outputs = self._runner.run([job.pcm for job in batch])
        except MemoryError:
            if len(batch) == 1:
                raise
            self._max_samples //= 2
            logger.warning("%d windows did not fit into memory; batches are smaller from now on.", len(batch))
            return []
        self.cancel([job.job_id for job in batch])
        return [
            FinishedJob(job.job_id, self._transcript(job, output, language))
            for job, output in zip(batch, outputs, strict=True)
        ]

    def cancel(self, job_ids: Sequence[int]) -> None:
        self._waiting = [job for job in self._waiting if job.job_id not in job_ids]

    def warm_up(self) -> None:
        """Runs a window of full length, so that the service learns how long one may take."""
        noise = np.random.RandomState(0).uniform(-3000, 3000, round(WINDOW_S * SAMPLE_RATE_HZ))
        self._runner.run([noise.astype(np.int16)])

    def close(self) -> None:
        self._waiting.clear()
        del self._runner

    def _transcript(self, job: WindowJob, output: ModelOutput, language: str | None) -> WindowTranscript:
        audio_ms = len(job.pcm) // SAMPLES_PER_MS
        if self._kind is Kind.ENCODER_DECODER:
            segments = whole_segment(output, self._vocabulary, audio_ms)
            if not output.is_whole:
                logger.warning("A text is marked as doubtful: it reached the limit of %d tokens.", len(output.tokens))
        else:
            options = job.options
            segments = timed_segments(
                output.tokens, self._vocabulary, audio_ms, is_split=options.timestamps, with_words=options.words
            )
        return WindowTranscript(segments, language=language, num_tokens=len(output.tokens))

    def _find_default_language(self, loaded: LoadedModel) -> str | None:
        """The tokenizer's language if it has an adapter, else the first; None for a model without adapters."""
        adapter = getattr(loaded.tokenizer, "target_lang", None) or "eng"
        codes = [code for code, name in self._adapters.items() if name == adapter]
        return next(iter([*codes, *self._adapters]), None)

    def _language_of(self, job: WindowJob) -> str | None:
        return (job.options.language or self._default_language) if self._adapters else None

    def _notes(self, options: EngineOptions, model_type: str) -> list[str]:
        has_no_times = self._kind is Kind.ENCODER_DECODER
        without_effect = {
            "FLASH_ATTENTION_2": bool(options.flash_attention_2),
            "COMPUTE_TYPE": options.compute_type != "auto",
            "BEAM_SIZE": options.beam_size > 1 and not has_no_times,
            "MAX_NEW_TOKENS": True,
            "CONDITION_ON_PREVIOUS_TEXT": True,
            "the language of a request": not self._adapters,
        }
        names = [name for name, is_listed in without_effect.items() if is_listed]
        notes = [f"Without effect on a model of type {model_type}: {', '.join(names)}."]
        if has_no_times:  # so a window cannot be continued from a timestamp
            notes.append(f"A window may have up to {self._runner.max_new_tokens} tokens, the limit of the checkpoint.")
        if not self._runner.may_pad:
            notes.append("Windows of different lengths run one by one because padding would change the model's output.")
        return notes
