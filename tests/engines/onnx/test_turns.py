"""The order of work in the ONNX engine: windows are encoded one by one, tokens decoded in bursts."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_api.engines.onnx.engine import URGENT_BURSTS
from asr_api.engines.protocol import WindowJob
from asr_api.engines.whisper.logmel import LogMel, log_mel
from asr_api.pcm import Pcm
from tests.engines.sounds import sound
from tests.engines.transcribing import AT_ZERO, open_onnx


class StepLog:
    """The work of an engine in each step: the job that it encoded, or None for a burst."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[int | None] = []
        self.engine = open_onnx(folder, n_slots=6)
        self._jobs: list[WindowJob] = []
        monkeypatch.setattr("asr_api.engines.onnx.batch.log_mel", self._log_mel)
        monkeypatch.setattr("asr_api.engines.onnx.engine.BURST_STEPS", 1)

    def admit(self, *job_ids: int, is_urgent: bool = False) -> None:
        jobs = [WindowJob(job_id, sound(3, job_id), AT_ZERO, is_urgent=is_urgent) for job_id in job_ids]
        self._jobs += jobs
        self.engine.admit(jobs)

    def step(self, num_steps: int) -> None:
        for _ in range(num_steps):
            self.steps.append(None)
            self.engine.step()

    def _log_mel(self, pcm: Pcm, n_mels: int, n_frames: int) -> LogMel:
        assert self.steps[-1] is None  # at most one window a step
        # The engine reads the caller's array, so identity tells the job.
        self.steps[-1] = next(job.job_id for job in self._jobs if job.pcm is pcm)
        return log_mel(pcm, n_mels, n_frames)


@pytest.fixture
def log(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> StepLog:
    return StepLog(folders["multilingual"], monkeypatch)


def test_urgent_windows_are_encoded_first(log: StepLog) -> None:
    log.admit(0, 1, 2)
    log.admit(3, 4, is_urgent=True)
    log.step(2)
    assert log.steps == [3, 4]


def test_other_windows_are_encoded_rarely_beside_urgent_ones(log: StepLog) -> None:
    log.admit(0, is_urgent=True)
    log.admit(1, 2, 3)
    log.step(8)
    log.admit(4, is_urgent=True)  # does not make the others wait for longer
    log.step(URGENT_BURSTS - 4)
    assert log.steps == [0, *[None] * 7, 4, *[None] * (URGENT_BURSTS - 7), 1, None]
    log.engine.cancel([0, 4])
    log.step(2)
    assert log.steps[-2:] == [2, 3]
