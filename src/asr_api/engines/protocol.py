"""The contract between the service and a model: PCM windows in, window transcripts out.

A continuous engine does a burst of decode steps per `step`; a coarse one finishes what it admitted. The service's loop
is the same for both. Features are the engine's own business, because models that are not Whisper want others.
An engine lives in one thread of one process: no method is called while another runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from asr_api.options import TranscribeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from asr_api.transcript import WindowTranscript

__all__ = [
    "SAMPLE_RATE_HZ",
    "ComputeType",
    "Engine",
    "EngineInfo",
    "EngineOptions",
    "FinishedJob",
    "Pcm",
    "WindowJob",
]

ComputeType = Literal["auto", "float32", "int8", "int8_bfloat16"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Everything an engine is built from; travels to the engine process, so it is plain data.

    checkpoint:        folder with config.json, tokenizer files and safetensors
    slots:             windows decoded at once
    max_new_tokens:    tokens per pass over a window; a window that needs more is resumed, never cut short
    flash_attention_2: None takes it where it is there; an engine that cannot honour True says so in `EngineInfo.notes`
    num_threads:       0 lets the engine choose from the cores it may use
    beam_size:         hypotheses kept for each window at temperature 0; 1 is greedy
    compute_type:      of the engine's products; int8_bfloat16 has an encoder in bfloat16
    """

    model_id: str
    checkpoint: Path
    slots: int = 16
    max_new_tokens: int = 128
    flash_attention_2: bool | None = None
    num_threads: int = 0
    beam_size: int = 1
    compute_type: ComputeType = "auto"


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is and can do.

    device_name:  of the accelerator or processor, for people
    window_s:     the longest window it takes
    languages:    codes it accepts; empty where the model knows no languages
    compute_type: of its products, such as int8
    notes:        lines worth printing at start, e.g. a setting that has no effect here
    """

    model_id: str
    engine: str
    device_name: str
    window_s: float
    slots: int
    languages: tuple[str, ...] = ()
    compute_type: str = "float32"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class WindowJob:
    """One window to transcribe.

    pcm:       (n_samples,) int16, 16 kHz mono, at most `EngineInfo.window_s` long
    is_urgent: its request has just begun; an engine that starts windows one after the other starts it before others
    """

    job_id: int
    pcm: Pcm
    options: TranscribeOptions
    is_urgent: bool = False


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
        """Takes up to `free_slots` jobs. The engine copies what it needs of `pcm` before it returns."""

    def step(self) -> list[FinishedJob]:
        """Works for a moment (a burst of decode steps) and returns what finished since the last call."""

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Frees the slots of these jobs; unknown ids are ignored, since they may have just finished."""

    def warm_up(self) -> None:
        """Runs every path once, so that the first job is as fast as the second."""

    def close(self) -> None:
        """Frees what it holds, for those who go on without it; the end of its process does the same."""
