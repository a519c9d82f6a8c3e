"""The `Engine` contract between the service and a model: PCM windows in, window transcripts out.

A continuous engine does a burst of decode steps per `step`; a coarse one finishes what it admitted. Features such as
log-mel belong to the engine, because models other than Whisper need others. An engine lives in one thread of one
process: no method is called while another runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from asr_api.transcript import WindowTranscript

ComputeType = Literal["auto", "float32", "int8", "int8_bfloat16"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Everything an engine is built from; plain data, because it travels to the engine process.

    checkpoint:        folder with config.json, tokenizer files and safetensors
    n_slots:           windows decoded at once
    max_new_tokens:    tokens per decoding of a window; a window that needs more is resumed, never cut short
    flash_attention_2: None uses it if it is available; an engine without it says so in `EngineInfo.notes`
    num_threads:       0 lets the engine choose from the cores it may use
    beam_size:         hypotheses per window at temperature 0; 1 is greedy
    compute_type:      of matrix products; int8_bfloat16 has an encoder in bfloat16
    """

    model_id: str
    checkpoint: Path
    n_slots: int = 16
    max_new_tokens: int = 128
    flash_attention_2: bool | None = None
    num_threads: int = 0
    beam_size: int = 1
    compute_type: ComputeType = "auto"


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is, and what its model can do.

    engine:              such as "onnx"
    device_name:         of the accelerator or processor, for people
    window_s:            the longest window it takes
    n_slots:             windows it decodes at once
    languages:           codes it accepts; empty when the model has no languages
    default_language:    used when neither request nor detection gives one; None when the model detects or has none
    can_detect_language: the model identifies the spoken language
    can_translate:       task may be "translate"
    can_prompt:          prompt, hotwords and previous text have an effect
    can_sample:          temperatures above 0 are possible
    has_word_timestamps: words may be asked for
    compute_type:        of its products, such as int8
    notes:               lines to print at start, e.g. about a setting that has no effect here
    """

    model_id: str
    engine: str
    device_name: str
    window_s: float
    n_slots: int
    languages: tuple[str, ...] = ()
    default_language: str | None = None
    can_detect_language: bool = True
    can_translate: bool = True
    can_prompt: bool = True
    can_sample: bool = True
    has_word_timestamps: bool = True
    compute_type: str = "float32"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class WindowJob:
    """One window to transcribe.

    pcm:        (n_samples,) int16, 16 kHz mono, at most `EngineInfo.window_s` long; valid, and unchanged, until the job
                is finished or cancelled, so engines do not copy it
    is_urgent:  its request has just begun; an engine that encodes windows one by one takes it first
    request_id: of the request, for the log
    """

    job_id: int
    pcm: Pcm
    options: DecodeOptions
    is_urgent: bool = False
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class FinishedJob:
    job_id: int
    transcript: WindowTranscript


class Engine(Protocol):
    @property
    def info(self) -> EngineInfo: ...

    @property
    def free_slots(self) -> int: ...

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        """Takes up to `free_slots` jobs, all or none. Raises InvalidParameter for options it cannot honour."""

    def step(self) -> list[FinishedJob]:
        """Works for a moment (a burst of decode steps) and returns what finished since the last call."""

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Frees the slots of these jobs; unknown ids are ignored, since they may have just finished."""

    def warm_up(self) -> None:
        """Runs every path once, so that the first job is as fast as the second."""

    def close(self) -> None:
        """Frees what it holds, for callers that live on; the end of its process does the same."""


def check_jobs(jobs: Sequence[WindowJob], free_slots: int, window_s: float) -> None:
    """What every engine checks on admission. Raises ValueError: these are bugs of the caller."""
    if len(jobs) > free_slots:
        raise ValueError(f"{len(jobs)} jobs for {free_slots} free slots; this is a bug")
    max_samples = round(window_s * SAMPLE_RATE_HZ)
    for job in jobs:
        if len(job.pcm) > max_samples:
            raise ValueError(f"a window of {len(job.pcm)} samples, and {max_samples} are allowed; this is a bug")
