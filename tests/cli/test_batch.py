"""Many sources on one command line: a bound on those in memory, the order of transcripts, and exit codes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from asr_api.cli.exit_codes import ExitCode
from asr_api.cli.output import Output
from asr_api.cli.progress import Progress
from asr_api.cli.sources import Source
from asr_api.cli.transcribe import BatchTranscription
from asr_api.errors import PathNotFound
from asr_api.pcm import AudioEnd
from asr_api.transcript import Transcript

pytestmark = pytest.mark.anyio
MAX_AT_ONCE = 16
SOURCES = [Source(f"{number}", f"/{number}", Path(f"{number}")) for number in range(200)]


def batch_of(transcribe: Callable[[Source], Coroutine[None, None, Transcript]]) -> BatchTranscription:
    return BatchTranscription(transcribe, Output("text", None, names_sources=True), Progress(len(SOURCES), lambda: 0.0))


async def test_a_slow_source_bounds_the_number_of_started_ones(capsys: pytest.CaptureFixture[str]) -> None:
    started: list[str] = []
    may_end = asyncio.Event()

    async def transcribe(source: Source) -> Transcript:
        started.append(source.name)
        if source is SOURCES[0]:
            await may_end.wait()
        return Transcript((), 0, None)

    before = asyncio.all_tasks()
    cancelled = asyncio.create_task(batch_of(transcribe).run(SOURCES, MAX_AT_ONCE))
    await asyncio.sleep(0.1)
    assert len(started) == MAX_AT_ONCE
    assert len(asyncio.all_tasks() - before) == 2, "the batch and its first source"
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert asyncio.all_tasks() == before

    running = asyncio.create_task(batch_of(transcribe).run(SOURCES, MAX_AT_ONCE))
    await asyncio.sleep(0.1)
    assert capsys.readouterr().out == ""
    may_end.set()
    assert await running == ExitCode.OK
    assert capsys.readouterr().out.split() == [f"{source.name}:" for source in SOURCES]


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ((AudioEnd(), AudioEnd()), ExitCode.OK),
        ((AudioEnd(), AudioEnd(is_truncated=True)), ExitCode.SOURCE_INCOMPLETE),
        ((AudioEnd(is_damaged=True), AudioEnd()), ExitCode.SOURCE_INCOMPLETE),
        ((AudioEnd(is_truncated=True), None), ExitCode.SOURCE_FAILED),
    ],
)
async def test_the_worst_source_decides_the_exit_code(ends: tuple[AudioEnd | None, ...], code: ExitCode) -> None:
    async def transcribe(source: Source) -> Transcript:
        end = ends[SOURCES.index(source)]
        if end is None:
            raise PathNotFound("There is no such file; check the spelling.")
        return Transcript((), 0, None, end)

    assert await batch_of(transcribe).run(SOURCES[: len(ends)], MAX_AT_ONCE) == code
