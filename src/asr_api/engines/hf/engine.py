"""Every other model of transformers: PCM windows in, window transcripts out. A step hears one batch, to its end.

Windows wait in order; the oldest takes those along that are like it in length and language.
Knows nothing about requests or where windows come from.
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
from asr_api.engines.hf.model_output import ModelOutput
from asr_api.engines.hf.model_runner import ModelRunner
from asr_api.engines.hf.segments import timed_segments, whole_segment
from asr_api.engines.hf.token_text import TokenText
from asr_api.engines.protocol import EngineInfo, EngineOptions, FinishedJob, WindowJob, check_jobs
from asr_api.errors import InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, SAMPLES_PER_MS
from asr_api.transcript import WindowTranscript

logger = logging.getLogger(__name__)

WINDOW_S = 30.0  # these models take any length; memory grows with its square
# On a processor a batch is no faster than one long window, and a step should be short: cancellation waits for it.
MAX_BATCH_S = WINDOW_S


class HfEngine:
    """Implements `asr_api.engines.protocol.Engine`."""

    def __init__(self, options: EngineOptions) -> None:
        """Raises CheckpointError when the folder holds nothing that can be served."""
        torch.set_num_threads(options.num_threads or usable_cores())
        device = choose_device()
        loaded = load_model(options.checkpoint)
        self._model_type, self._kind = loaded.model_type, loaded.kind
        self._listener = ModelRunner(loaded, device, beam_size=options.beam_size)
        self._reader = TokenText(loaded.tokenizer)
        self._adapters = find_adapters(options.checkpoint) if loaded.has_adapters else {}
        self._language = self._first_language(loaded)
        max_batch_s = MAX_BATCH_S if device.type == "cpu" else options.n_slots * WINDOW_S
        self._max_samples = round(max_batch_s * SAMPLE_RATE_HZ)
        self._waiting: list[WindowJob] = []
        self._info = EngineInfo(
            model_id=options.model_id,
            engine="pipeline",
            device_name=processor_name() if device.type == "cpu" else torch.cuda.get_device_name(device),
            window_s=WINDOW_S,
            n_slots=options.n_slots,
            languages=tuple(self._adapters),
            compute_type=str(loaded.model.dtype).removeprefix("torch."),
            notes=(*loaded.notes, *self._notes(options)),
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        return self._info.n_slots - len(self._waiting)

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        """Raises InvalidParameter, and admits none, when a job asks for what the checkpoint cannot do."""
        check_jobs(jobs, self.free_slots, WINDOW_S)
        for job in jobs:
            self._check(job.options)
        self._waiting += jobs

    def step(self) -> list[FinishedJob]:
        batch = choose_batch(self._waiting, BatchRule(self._listener.may_pad, self._max_samples), self._language_of)
        if not batch:
            return []
        language = self._language_of(batch[0])
        if language is not None:
            self._listener.speak(self._adapters[language])
        try:
            heard = self._listener.hear([job.pcm for job in batch])
        except MemoryError:
            if len(batch) == 1:
                raise
            self._max_samples //= 2
            logger.warning("A batch of %d windows did not fit into memory; smaller ones from now on.", len(batch))
            return []
        self.cancel([job.job_id for job in batch])
        return [
            FinishedJob(job.job_id, self._transcript(job, each, language))
            for job, each in zip(batch, heard, strict=True)
        ]

    def cancel(self, job_ids: Sequence[int]) -> None:
        self._waiting = [job for job in self._waiting if job.job_id not in job_ids]

    def warm_up(self) -> None:
        """With a window of full length, so that the service knows how long one may take."""
        noise = np.random.RandomState(0).uniform(-3000, 3000, round(WINDOW_S * SAMPLE_RATE_HZ))
        self._listener.hear([noise.astype(np.int16)])

    def close(self) -> None:
        self._waiting.clear()
        del self._listener

    def _transcript(self, job: WindowJob, heard: ModelOutput, language: str | None) -> WindowTranscript:
        audio_ms = len(job.pcm) // SAMPLES_PER_MS
        if self._kind is Kind.ENCODER_DECODER:
            segments = whole_segment(heard, self._reader, audio_ms)
            if not heard.is_whole:
                logger.warning("A window was broken off after %d tokens; it says so.", len(heard.tokens))
        else:
            wishes = job.options
            segments = timed_segments(
                heard.tokens, self._reader, audio_ms, is_split=wishes.timestamps, with_words=wishes.words
            )
        return WindowTranscript(segments, language=language, num_tokens=len(heard.tokens))

    def _first_language(self, loaded: LoadedModel) -> str | None:
        """The one that is spoken unless a request names another; None for a model without adapters."""
        wanted = getattr(loaded.tokenizer, "target_lang", None) or "eng"
        return next((code for code, name in self._adapters.items() if name == wanted), next(iter(self._adapters), None))

    def _language_of(self, job: WindowJob) -> str | None:
        return (job.options.language or self._language) if self._adapters else None

    def _check(self, wishes: DecodeOptions) -> None:
        what = f"a model of type {self._model_type}"
        if wishes.task != "transcribe":
            raise InvalidParameter(f"task is {wishes.task!r}, and {what} can only transcribe; leave task out.")
        for name, value in (("prompt", wishes.prompt), ("hotwords", wishes.hotwords)):
            if value:
                raise InvalidParameter(f"{name} is given, and {what} has no use for it; leave {name} out.")
        if wishes.temperatures and wishes.temperatures[0] > 0:
            raise InvalidParameter(
                f"temperature is {wishes.temperatures[0]:g}, and {what} runs only at 0; leave temperature out."
            )
        if wishes.words and self._kind is Kind.ENCODER_DECODER:
            raise InvalidParameter(f"times of words are asked for, and {what} gives none; ask for segments only.")
        language = wishes.language or self._language
        if self._adapters and language not in self._adapters:
            raise InvalidParameter(
                f"language is {language!r}, which this model has no adapter for; "
                f"use one of {', '.join(self._adapters)}."
            )
        if self._adapters and wishes.languages and not wishes.language and language not in wishes.languages:
            raise InvalidParameter(
                f"languages is {','.join(wishes.languages)!r}, and {what} detects none; name one of them as language."
            )

    def _notes(self, options: EngineOptions) -> list[str]:
        is_text_only = self._kind is Kind.ENCODER_DECODER
        idle = {
            "FLASH_ATTENTION_2": bool(options.flash_attention_2),
            "COMPUTE_TYPE": options.compute_type != "auto",
            "BEAM_SIZE": options.beam_size > 1 and not is_text_only,
            "MAX_NEW_TOKENS": True,
            "CONDITION_ON_PREVIOUS_TEXT": True,
            "the language of a request": not self._adapters,
        }
        names = [name for name, is_idle in idle.items() if is_idle]
        notes = [f"Without effect on a model of type {self._model_type}: {', '.join(names)}."]
        if is_text_only:  # it gives no times from which a window could be continued
            notes.append(f"A window may have up to {self._listener.max_new_tokens} tokens, as the checkpoint says.")
        if not self._listener.may_pad:
            notes.append("Windows of different lengths run one by one: padding would change what this model hears.")
        return notes
