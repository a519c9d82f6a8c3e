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
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint

NUM_SLOTS = 6


class StepLog:
    """What an engine did in each step: the job that it encoded, or None for a burst."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[int | None] = []
        self._engine = open_onnx(folder, n_slots=NUM_SLOTS)
        self._jobs: dict[int, WindowJob] = {}
        self._encoded: list[int] = []

        def record(pcm: Pcm, n_mels: int, n_frames: int) -> LogMel:
            # The engine reads the caller's array, so identity tells the job.
            self._encoded += [job_id for job_id, job in self._jobs.items() if job.pcm is pcm]
            return log_mel(pcm, n_mels, n_frames)

        monkeypatch.setattr("asr_api.engines.onnx.batch.log_mel", record)

    def admit(self, job_id: int, *, is_urgent: bool) -> None:
        self._jobs[job_id] = WindowJob(job_id, sound(3, job_id), AT_ZERO, is_urgent=is_urgent)
        self._engine.admit([self._jobs[job_id]])

    def cancel(self, job_id: int) -> None:
        self._engine.cancel([job_id])

    def step(self) -> None:
        self._encoded.clear()
        self._engine.step()
        assert len(self._encoded) <= 1
        self.steps.append(self._encoded[0] if self._encoded else None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("turns"), SMALL)


@pytest.fixture
def log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> StepLog:
    monkeypatch.setattr("asr_api.engines.onnx.engine.BURST_STEPS", 1)
    return StepLog(folder, monkeypatch)


def test_urgent_windows_are_encoded_first(log: StepLog) -> None:
    for job_id in range(3):
        log.admit(job_id, is_urgent=False)
    for job_id in range(3, 5):
        log.admit(job_id, is_urgent=True)
    for _ in range(2):
        log.step()
    assert log.steps == [3, 4]


def test_other_windows_are_encoded_rarely_beside_urgent_ones(log: StepLog) -> None:
    log.admit(0, is_urgent=True)
    for job_id in range(1, 4):
        log.admit(job_id, is_urgent=False)
    for _ in range(8):
        log.step()
    log.admit(4, is_urgent=True)  # does not make the others wait for longer
    for _ in range(URGENT_BURSTS - 4):
        log.step()
    assert log.steps == [0, *[None] * 7, 4, *[None] * (URGENT_BURSTS - 7), 1, None]
    log.cancel(0)
    log.cancel(4)
    log.step()
    log.step()
    assert log.steps[-2:] == [2, 3]


def test_urgent_window_waits_for_one_step(log: StepLog) -> None:
    for job_id in range(3):
        log.admit(job_id, is_urgent=False)
        log.step()
    log.admit(3, is_urgent=False)
    log.admit(4, is_urgent=True)
    log.step()
    assert log.steps[-1] == 4
