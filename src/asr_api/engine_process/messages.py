"""Messages between the supervisor and the engine process, and the size of the shared buffers that hold the PCM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from asr_api.engines.protocol import Engine, EngineInfo, FinishedJob, WindowJob
from asr_api.errors import AsrError
from asr_api.logs import LogFormat
from asr_api.pcm import SAMPLE_RATE_HZ

# -- to the engine process ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load:
    """The first message."""

    factory: Callable[[], Engine]
    log_level: int
    log_format: LogFormat
    is_traced: bool


@dataclass(frozen=True, slots=True)
class PcmLocation:
    """Where the PCM of a job lies: the first `num_samples` of a shared buffer, until the job is gone."""

    buffer: int
    num_samples: int


@dataclass(frozen=True, slots=True)
class Admit:
    """jobs: without their PCM, which lies at `locations`, one for each job"""

    jobs: tuple[WindowJob, ...]
    locations: tuple[PcmLocation, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    job_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    pass


# -- from the engine process -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine is loaded and warm; the shared buffers have their size."""

    info: EngineInfo
    warm_up_s: float


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The engine cannot be loaded, and another attempt would fail as well."""

    error: AsrError


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Sent after every step, and now and then while idle."""


@dataclass(frozen=True, slots=True)
class JobsFinished:
    jobs: tuple[FinishedJob, ...]


@dataclass(frozen=True, slots=True)
class JobRefused:
    """The engine cannot honour the options of this job."""

    job_id: int
    error: AsrError


@dataclass(frozen=True, slots=True)
class JobsCancelled:
    """These jobs are no longer in the engine; answers every Cancel."""

    job_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JobsFailed:
    """The engine raised while it held these jobs; it holds none of them any more."""

    job_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SlotsChanged:
    """num_slots: that the engine can use now, as far as its memory goes"""

    num_slots: int


def job_ids_of(message: object) -> list[int]:
    """The jobs that are no longer in the engine."""
    match message:
        case JobsFinished(jobs):
            return [job.job_id for job in jobs]
        case JobRefused(job_id, _):
            return [job_id]
        case JobsCancelled(job_ids) | JobsFailed(job_ids):
            return list(job_ids)
    return []


# -- the shared buffers ------------------------------------------------------------------------------------------


def buffer_samples(info: EngineInfo) -> int:
    """Size of one shared buffer; there is one for each slot."""
    return round(info.window_s * SAMPLE_RATE_HZ)


def shared_memory_bytes(info: EngineInfo) -> int:
    return info.n_slots * buffer_samples(info) * np.dtype(np.int16).itemsize
