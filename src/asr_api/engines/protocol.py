"""The `Engine` contract between the service and a model: PCM windows in, window transcripts out.

A continuous engine does a burst of decode steps per `step`; a coarse one runs a batch of jobs to its end. Features such
as log-mel belong to the engine, because models other than Whisper need others. An engine runs in one thread of one
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
    """Everything an engine is built from; plain data, because it travels to the engine process."""

    model_id: str
    checkpoint: Path  # folder with config.json, tokenizer files and weights
    weight_files: tuple[Path, ...] = ()  # parts of the weights, in order, that are not in the folder
    n_slots: int = 16  # windows decoded at once
    max_new_tokens: int = 128  # tokens per decoding of a window; a window that needs more is resumed, never cut short
    flash_attention_2: bool | None = None  # None uses it where available; an engine without it adds a note
    num_threads: int = 0  # 0 lets the engine choose from the cores it may use
    beam_size: int = 1  # hypotheses per window at temperature 0; 1 is greedy
    compute_type: ComputeType = "auto"  # of matrix products; int8_bfloat16 has an encoder in bfloat16


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Properties of an engine and capabilities of its model."""

    model_id: str
    engine: str  # such as "onnx"
    device_name: str  # of the accelerator or processor, for people
    window_s: float  # the longest window it takes
    n_slots: int  # windows it decodes at once
    languages: tuple[str, ...] = ()  # codes it accepts; empty when the model has no languages
    default_language: str | None = None  # of a request without one; None when the model detects it or has none
    can_detect_language: bool = True
    can_translate: bool = True
    can_prompt: bool = True  # prompt, hotwords and previous text have an effect
    can_sample: bool = True  # temperatures above 0 are possible
    has_word_timestamps: bool = True
    has_logprobs: bool = True  # segments have tokens with their log-probabilities
    compute_type: str = "float32"  # of its products, such as int8
    notes: tuple[str, ...] = ()  # lines to print at start, e.g. about a setting that has no effect here


@dataclass(frozen=True, slots=True, eq=False)
class WindowJob:
    """One window to transcribe.

    pcm: (n_samples,) int16, 16 kHz mono, at most `EngineInfo.window_s` long; valid, and unchanged, until the job is
         finished or cancelled, so engines do not copy it
    """

    job_id: int
    pcm: Pcm
    options: DecodeOptions
    is_urgent: bool = False  # its request has just begun; an engine that encodes windows one by one takes it first
    request_id: str = ""  # for the log
    traceparent: str = ""  # of the request, if it is traced


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
        """Works for a moment (a burst of decode steps); returns the jobs that finished since the last call."""

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Frees the slots of these jobs; unknown ids are ignored, since they may have just finished."""

    def warm_up(self) -> None:
        """Runs every path once, so that the first job is as fast as the second."""

    def close(self) -> None:
        """Frees all resources, for callers that go on; the end of the engine's process does the same."""


def check_jobs(jobs: Sequence[WindowJob], free_slots: int, window_s: float) -> None:
    """The checks of every engine on admission. Raises ValueError: these are bugs of the caller."""
    if len(jobs) > free_slots:
        raise ValueError(f"{len(jobs)} jobs for {free_slots} free slots; this is a bug")
    max_samples = round(window_s * SAMPLE_RATE_HZ)
    for job in jobs:
        if len(job.pcm) > max_samples:
            raise ValueError(
                f"a window has {len(job.pcm)} samples, but at most {max_samples} are allowed; this is a bug"
            )
