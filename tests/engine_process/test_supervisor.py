"""Supervisor: an engine process that is killed, hangs, refuses or cannot be started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from asr_api.engine_process.child_process import ChildProcess
from asr_api.engine_process.messages import Ready
from asr_api.engine_process.ports import EngineState
from asr_api.engine_process.supervisor import EngineProcess
from asr_api.engines.protocol import Engine, FinishedJob, WindowJob
from asr_api.errors import AsrError, CheckpointError, InvalidParameter, ModelLoading, ServerDraining, StartupError
from asr_api.metrics import Metrics
from asr_api.options import DecodeOptions
from tests.engine_factories import ImportReportingEngine, broken, scripted
from tests.engines.scripted import FAIL, FAIL_EARLY, HANG, Script, number_pcm, read_numbers
from tests.service import MODEL, metric_value, num_open_things

pytestmark = pytest.mark.anyio


class Listener:
    """Records every report."""

    def __init__(self) -> None:
        self.finished: asyncio.Queue[FinishedJob] = asyncio.Queue()
        self.lost: asyncio.Queue[Sequence[int]] = asyncio.Queue()
        self.refused: asyncio.Queue[tuple[int, AsrError]] = asyncio.Queue()
        self.capacity = asyncio.Event()
        self.failure: AsrError | None = None
        self.metrics = Metrics()
        self.killed: asyncio.Queue[Sequence[int]] = asyncio.Queue()
        self.on_capacity, self.on_lost = self.capacity.set, self.lost.put_nowait
        self.on_killed = self.killed.put_nowait

    def on_finished(self, finished: Sequence[FinishedJob]) -> None:
        for job in finished:
            self.finished.put_nowait(job)

    def on_refused(self, job_id: int, error: AsrError) -> None:
        self.refused.put_nowait((job_id, error))

    def on_cancelled(self, _job_ids: Sequence[int]) -> None:
        self.capacity.set()

    def on_failed(self, error: AsrError) -> None:
        self.failure = error

    async def next_finished(self, count: int = 1) -> list[FinishedJob]:
        return [await asyncio.wait_for(self.finished.get(), 10) for _ in range(count)]

    async def next_lost(self) -> list[int]:
        return list(await asyncio.wait_for(self.lost.get(), 10))

    async def next_killed(self) -> list[int]:
        return list(await asyncio.wait_for(self.killed.get(), 10))

    async def next_capacity(self) -> None:
        self.capacity.clear()
        await asyncio.wait_for(self.capacity.wait(), 10)


@pytest.fixture(autouse=True)
async def _nothing_is_left_behind() -> AsyncIterator[None]:
    before = num_open_things()
    yield
    for _ in range(100):  # asyncio's own thread for a child of a test takes a moment to end
        if num_open_things() == before:
            break
        await asyncio.sleep(0.01)
    assert num_open_things() == before


def new_engine(factory: Callable[[], Engine], **options: Any) -> tuple[EngineProcess, Listener]:
    listener = Listener()
    engine = EngineProcess(factory, metrics=listener.metrics.for_model(MODEL), **options)
    engine.report_to(listener)
    return engine, listener


@contextlib.asynccontextmanager
async def running(
    script: Script | None = None, factory: Callable[[], Engine] | None = None, heartbeat_timeout_s: float = 60.0
) -> AsyncIterator[tuple[EngineProcess, Listener]]:
    engine, listener = new_engine(factory or scripted(script), heartbeat_timeout_s=heartbeat_timeout_s)
    try:
        await engine.start()
        yield engine, listener
    finally:
        await engine.close()


def job(job_id: int, language: str | None = None, *, mark: int | None = None) -> WindowJob:
    """Its only word is the id."""
    return WindowJob(job_id, number_pcm([job_id], mark=mark), DecodeOptions(language=language))


async def test_windows_are_transcribed() -> None:
    noise = np.random.default_rng(0).integers(-30_000, 30_000, 30 * 16_000).astype(np.int16)
    pcms = [number_pcm(range(1, 31)), number_pcm([7]), noise]
    async with running(Script(n_slots=3)) as (engine, listener):
        for _ in range(3):
            engine.admit([WindowJob(n, pcm, DecodeOptions()) for n, pcm in enumerate(pcms)])
            assert engine.free_slots == 0
            finished = await listener.next_finished(3)
            assert engine.free_slots == 3
            for done in finished:
                assert list(done.transcript.segments) == read_numbers(pcms[done.job_id])
        with pytest.raises(ValueError, match="3 free slots"):
            engine.admit([job(n) for n in (1, 2, 3, 4)])


async def test_long_prompts_do_not_block_the_loop_while_the_engine_works() -> None:
    async with running(Script(n_slots=16, step_s=1.0)) as (engine, listener):
        engine.admit([job(16)])
        await asyncio.sleep(0.1)  # the step has begun
        started_s = time.monotonic()
        for number in range(1, 16):
            options = DecodeOptions(prompt="語" * 4096, hotwords="名" * 4095 + str(number % 10))
            engine.admit([WindowJob(number, number_pcm([number]), options)])
        assert time.monotonic() - started_s < 0.5
        assert {done.job_id for done in await listener.next_finished(16)} == set(range(1, 17))


async def test_a_job_that_the_engine_refuses_fails_alone() -> None:
    async with running(Script(n_slots=2)) as (engine, listener):
        engine.admit([job(1, language="tlh"), job(2, language="de")])
        job_id, error = await asyncio.wait_for(listener.refused.get(), 10)
        assert job_id == 1
        assert isinstance(error, InvalidParameter)
        (done,) = await listener.next_finished()
        assert done.job_id == 2
        assert engine.free_slots == 2


async def test_cancelling_frees_the_slot_within_a_step() -> None:
    async with running(Script(n_slots=1, step_s=0.01, steps_per_window=10_000)) as (engine, listener):
        engine.admit([job(1)])
        engine.cancel([1, 99])
        assert engine.free_slots == 0  # its PCM is still being read
        await listener.next_capacity()
        assert engine.free_slots == 1


async def test_a_killed_engine_reports_its_windows_and_restarts_soon() -> None:
    async with running(Script(steps_per_window=10_000, step_s=0.001)) as (engine, listener):
        engine.admit([job(n) for n in (1, 2, 3)])
        for num_exits in (1, 2, 3):
            pid = engine.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            killed_s = time.monotonic()
            assert await listener.next_killed() == ([1, 2, 3] if num_exits == 1 else [])
            assert engine.state is EngineState.RESTARTING
            assert engine.free_slots == 0
            await listener.next_capacity()
            assert time.monotonic() - killed_s < 2
            assert engine.pid != pid
            assert metric_value(listener.metrics, "asr_engine_restarts_total") == num_exits
            assert metric_value(listener.metrics, "asr_engine_ready") == 1


async def test_kills_from_outside_while_it_loads_do_not_end_the_server() -> None:
    async with running(Script(load_s=0.2)) as (engine, listener):
        for _ in range(6):
            pid = engine.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await listener.next_killed()
            for _ in range(200):
                if engine.pid not in {pid, None}:
                    break
                await asyncio.sleep(0.01)
        await listener.next_capacity()
        assert engine.state is EngineState.READY


@pytest.mark.parametrize("counts", ["oom_kill {}", "nothing of it"])
async def test_a_kill_by_the_kernel_counts_as_a_crash(
    counts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text(counts.format(7))
    monkeypatch.setattr("asr_api.engine_process.exit_cause.KERNEL_COUNTS", vmstat)
    async with running(Script(step_s=60)) as (engine, listener):
        engine.admit([job(1)])
        vmstat.write_text(counts.format(8))
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        assert await listener.next_lost() == [1]


async def test_a_machine_without_descriptors_recovers_by_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("asr_api.engine_process.supervisor.BACK_OFF_S", 0.05)
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with running() as (engine, listener):
        assert engine.pid is not None
        try:
            with socket.socket() as lowest:  # after the engine has ended, only its own four descriptors are free
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno() - 4, usual[1]))
            os.kill(engine.pid, signal.SIGKILL)
            await listener.next_lost()
            await asyncio.sleep(0.2)
            assert "cannot be started" in caplog.text
            assert engine.state is EngineState.RESTARTING
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, usual)
        await listener.next_capacity()
        assert engine.state is EngineState.READY


async def test_a_window_that_crashes_the_engine_is_lost_and_the_engine_starts_afresh() -> None:
    async with running(Script(n_slots=1, crash_at_window=3)) as (engine, listener):
        for job_id in (1, 2):
            engine.admit([job(job_id)])
            await listener.next_finished()
        engine.admit([job(3)])
        assert await listener.next_lost() == [3]
        await listener.next_capacity()
        engine.admit([job(3)])
        (done,) = await listener.next_finished()
        assert (done.job_id, done.transcript.segments[0].text) == (3, " 3")


async def test_a_hung_engine_is_killed_and_restarted() -> None:
    async with running(heartbeat_timeout_s=0.4) as (engine, listener):
        engine.admit([job(1, mark=HANG)])
        hung_s = time.monotonic()
        assert await listener.next_lost() == [1]
        assert 0.3 < time.monotonic() - hung_s < 3
        await listener.next_capacity()
        engine.admit([job(2)])
        await listener.next_finished()


async def test_a_slow_or_idle_engine_is_not_taken_for_a_hung_one() -> None:
    async with running(Script(warm_up_s=0.3, step_s=1.0), heartbeat_timeout_s=0.2) as (engine, listener):
        pid = engine.pid
        engine.admit([job(1)])
        assert [done.job_id for done in await listener.next_finished()] == [1]
        await asyncio.sleep(0.8)
        assert engine.pid == pid
        assert metric_value(listener.metrics, "asr_engine_restarts_total") == 0


async def test_an_exception_loses_the_windows_and_twice_in_a_row_the_process() -> None:
    async with running() as (engine, listener):
        pid = engine.pid
        engine.admit([job(1, mark=FAIL), job(2)])
        assert sorted(await listener.next_lost()) == [1, 2]
        assert engine.free_slots == 4
        engine.admit([job(2)])
        await listener.next_finished()
        assert engine.pid == pid
        for _ in range(2):
            engine.admit([job(1, mark=FAIL)])
            assert await listener.next_lost() == [1]
        await listener.next_capacity()
        assert engine.pid != pid


async def test_an_exception_on_admission_loses_track_of_no_window() -> None:
    async with running() as (engine, listener):
        engine.admit([job(1), job(2, mark=FAIL_EARLY), job(3), job(4)])
        assert sorted(await listener.next_lost()) == [1, 2, 3, 4]
        assert engine.free_slots == 4


async def test_a_checkpoint_error_is_raised_by_start() -> None:
    started_s = time.monotonic()
    with pytest.raises(CheckpointError, match="model 'x' is not here; try builtin"):
        async with running(Script(load_error="model 'x' is not here; try builtin.")):
            pass
    assert time.monotonic() - started_s < 5


def refuse_to_map(self: ChildProcess, ready: Ready) -> None:
    raise OSError("no address space left")


@pytest.mark.parametrize(
    ("factory", "logged"),
    [
        (scripted(Script(crashes_on_load=True)), ""),
        (broken, "exit code 1"),
        (scripted(), "no address space left"),  # the shared buffers cannot be mapped
    ],
    ids=["crash", "exception", "no memory"],
)
async def test_an_engine_that_crashes_while_loading_fails_with_one_clear_line(
    factory: Callable[[], Engine], logged: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("asr_api.engine_process.supervisor.BACK_OFF_S", 0.01)
    monkeypatch.setattr(ChildProcess, "map_shared_buffers", refuse_to_map)
    engine, listener = new_engine(factory)
    with pytest.raises(StartupError, match="ended 3 times in a row while loading"):
        await asyncio.wait_for(engine.start(), 20)
    assert engine.state is EngineState.FAILED
    assert await asyncio.wait_for(engine.wait_failed(), 1) is listener.failure
    assert logged in caplog.text
    with pytest.raises(ModelLoading):
        _ = engine.info
    await engine.close()


async def test_a_load_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr_api.engine_process.supervisor.MAX_FAILED_LOADS", 2)
    monkeypatch.setattr("asr_api.engine_process.supervisor.BACK_OFF_S", 0.01)
    metrics = Metrics().for_model(MODEL)  # and no listener
    engine = EngineProcess(scripted(Script(load_s=3600)), metrics=metrics, load_timeout_s=0.3, heartbeat_timeout_s=0.2)
    with pytest.raises(StartupError):
        await asyncio.wait_for(engine.start(), 10)
    await engine.close()


@pytest.mark.parametrize("is_loading", [True, False])
async def test_closing_does_not_wait_long_for_a_busy_engine(is_loading: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr_api.engine_process.supervisor.STOP_TIMEOUT_S", 0.2)
    script = Script(load_s=3600 if is_loading else 0)
    engine = EngineProcess(scripted(script), metrics=Metrics().for_model(MODEL))  # without a listener
    starting = asyncio.create_task(engine.start())
    if is_loading:
        await asyncio.sleep(0.1)
        starting.cancel()
    else:
        await starting
        engine.admit([job(1, mark=HANG)])
    started_s = time.monotonic()
    await engine.close()
    assert time.monotonic() - started_s < 2
    assert engine.state is EngineState.CLOSED


async def test_a_listener_that_raises_restarts_the_engine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as (engine, listener):

        def fail(_: object) -> None:
            monkeypatch.undo()
            raise RuntimeError("a bug above")

        pid = engine.pid
        monkeypatch.setattr(listener, "on_finished", fail)
        engine.admit([job(1)])
        assert await listener.next_lost() == [1]
        await listener.next_capacity()
        assert engine.pid != pid
        assert "a bug above" in caplog.text


async def test_a_start_that_is_closed_meanwhile_does_not_look_ready() -> None:
    engine, _ = new_engine(scripted(Script(load_s=3600)))
    starting = asyncio.create_task(engine.start())
    await asyncio.sleep(0.1)
    await engine.close()
    with pytest.raises(ServerDraining):
        await asyncio.wait_for(starting, 5)


async def test_the_engine_process_loads_no_foreign_library() -> None:
    async with running(factory=ImportReportingEngine) as (engine, _):
        assert engine.info.notes == ()


async def test_signals_for_the_parent_do_not_reach_the_engine() -> None:
    async with running() as (engine, listener):
        assert engine.pid is not None
        assert os.getpgid(engine.pid) != os.getpgid(0)
        for signum in (signal.SIGINT, signal.SIGTERM):
            os.kill(engine.pid, signum)
        engine.admit([job(1)])
        await listener.next_finished()


PARENT = """
import asyncio
from asr_api.engine_process.supervisor import EngineProcess
from asr_api.metrics import Metrics
from tests.engine_factories import scripted
from tests.engine_process.test_supervisor import HANG, job

async def run():
    engine = EngineProcess(scripted(), metrics=Metrics().for_model("scripted"))
    await engine.start()
    engine.admit([job(1, mark=HANG)])  # hangs for ever
    await asyncio.sleep(0.2)
    print(engine.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(run())  # unguarded: the engine's process must not run it again
"""


async def test_a_killed_parent_ends_its_engine_process(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    parent = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    child = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    for _ in range(250):
        # Without an init process that reaps orphans it stays a zombie, which holds nothing.
        if not child.is_running() or child.status() == psutil.STATUS_ZOMBIE:
            return
        await asyncio.sleep(0.02)
    pytest.fail("the engine outlived its parent by 5 s")
