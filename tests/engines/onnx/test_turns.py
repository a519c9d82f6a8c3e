"""Whose turn it is inside the engine: windows are encoded one by one, tokens written in bursts."""

from __future__ import annotations

import pytest

from asr_api.engines.onnx.engine import URGENT_BURSTS, OnnxEngine
from asr_api.engines.protocol import WindowJob
from tests.engines.sounds import sound
from tests.engines.transcribing import AUTO, open_onnx
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint

NUM_SLOTS = 6


class Diary:
    """What an engine did in each step: the job that it encoded, or None for a burst."""

    def __init__(self, engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[int | None] = []
        self._engine = engine
        self._encoded: list[int] = []
        encode = engine._encode

        def note(job: WindowJob) -> None:
            self._encoded.append(job.job_id)
            encode(job)

        monkeypatch.setattr(engine, "_encode", note)

    def admit(self, job_id: int, *, is_urgent: bool) -> None:
        self._engine.admit([WindowJob(job_id, sound(3, job_id), AUTO, is_urgent=is_urgent)])

    def cancel(self, job_id: int) -> None:
        self._engine.cancel([job_id])

    def step(self) -> list[int]:
        """The jobs that finished."""
        self._encoded.clear()
        finished = [job.job_id for job in self._engine.step()]
        assert len(self._encoded) <= 1
        self.lines.append(self._encoded[0] if self._encoded else None)
        return finished


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> OnnxEngine:
    return open_onnx(write_checkpoint(tmp_path_factory.mktemp("turns"), SMALL), n_slots=NUM_SLOTS)


@pytest.fixture
def diary(engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch) -> Diary:
    monkeypatch.setattr("asr_api.engines.onnx.engine.BURST_STEPS", 1)
    engine.cancel(list(range(NUM_SLOTS)))
    engine.step()
    engine._num_bursts = 0
    return Diary(engine, monkeypatch)


def test_all_that_waits_is_encoded_before_a_burst_the_urgent_first(diary: Diary) -> None:
    for job_id in range(3):
        diary.admit(job_id, is_urgent=False)
    for job_id in range(3, 5):
        diary.admit(job_id, is_urgent=True)
    for _ in range(2):
        diary.step()
    assert diary.lines == [3, 4]


def test_while_an_urgent_window_is_written_others_are_encoded_now_and_then(diary: Diary) -> None:
    diary.admit(0, is_urgent=True)
    for job_id in range(1, 4):
        diary.admit(job_id, is_urgent=False)
    for _ in range(8):
        diary.step()
    diary.admit(4, is_urgent=True)  # those who come don't make the others wait for longer
    for _ in range(URGENT_BURSTS - 4):
        diary.step()
    assert diary.lines == [0, *[None] * 7, 4, *[None] * (URGENT_BURSTS - 7), 1, None]
    diary.cancel(0)
    diary.cancel(4)
    diary.step()
    diary.step()
    assert diary.lines[-2:] == [2, 3]


def test_an_urgent_window_waits_for_one_step_only(diary: Diary) -> None:
    for job_id in range(3):
        diary.admit(job_id, is_urgent=False)
        diary.step()
    diary.admit(3, is_urgent=False)
    diary.admit(4, is_urgent=True)
    diary.step()
    assert diary.lines[-1] == 4
