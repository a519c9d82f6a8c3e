"""Many sources on one command line: a bound on those in memory, the order of transcripts, and exit codes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from asr_api.cli.exit_codes import ExitCode
from asr_api.cli.output import Output
from asr_api.cli.progress import Progress
from asr_api.cli.sources import Source
from asr_api.cli.transcribe import BatchTranscription
from asr_api.errors import PathNotFound
from asr_api.formats import FORMATS
from asr_api.pcm import AudioEnd
from asr_api.transcript import Transcript

pytestmark = pytest.mark.anyio
NUM_SOURCES, MAX_AT_ONCE = 200, 16
SOURCES = [Source(f"{number}", f"/{number}", Path(f"{number}")) for number in range(NUM_SOURCES)]


class Transcriptions:
    """Stands for the service: the first source takes as long as the test wants, the others take no time."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.release_first = asyncio.Event()

    async def transcribe(self, source: Source) -> Transcript:
        self.started.append(source.name)
        if source is SOURCES[0]:
            await self.release_first.wait()
        return Transcript((), 0, None)


def batch_of(transcriptions: Transcriptions) -> BatchTranscription:
    output = Output(FORMATS["text"], None, names_sources=True)
    return BatchTranscription(transcriptions.transcribe, output, Progress(NUM_SOURCES, lambda: 0.0))


async def test_a_slow_source_bounds_how_many_others_are_started_and_held(capsys: pytest.CaptureFixture[str]) -> None:
    transcriptions = Transcriptions()
    running = asyncio.create_task(batch_of(transcriptions).run(SOURCES, MAX_AT_ONCE))
    await asyncio.sleep(0.1)
    assert len(transcriptions.started) == MAX_AT_ONCE
    assert capsys.readouterr().out == ""
    transcriptions.release_first.set()
    assert await running == ExitCode.OK
    assert capsys.readouterr().out.split() == [f"{source.name}:" for source in SOURCES]


async def test_a_cancelled_batch_ends_its_transcriptions() -> None:
    before = asyncio.all_tasks()
    running = asyncio.create_task(batch_of(Transcriptions()).run(SOURCES, MAX_AT_ONCE))
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks() - before) == 2, "the batch and its first source"
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == before


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

    batch = BatchTranscription(transcribe, Output(FORMATS["text"], None), Progress(len(ends), lambda: 0.0))
    assert await batch.run(SOURCES[: len(ends)], MAX_AT_ONCE) == code
