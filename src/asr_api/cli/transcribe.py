"""`asr-api transcribe`: many sources at once through one transcriber, in this process and without HTTP.

Results come out in the order of the sources; a source that fails is named on stderr and stops no other. A progress bar
appears on a terminal and nowhere else.
"""

from __future__ import annotations

import asyncio
import enum
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from asr_api.audio.sources.open_reference import names_link, open_reference
from asr_api.audio.sources.policy import LocalPaths, MediaPolicy
from asr_api.audio.sources.spool import Spool, spool_chunks
from asr_api.cli.files import STDIN, Output, Source, list_sources
from asr_api.compose import default_options, in_background, media_policy, open_transcriber
from asr_api.errors import AsrError, PathNotFound, StartupError
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.parameters import RawParameter, check_parameters, read_parameters
from asr_api.settings.settings import Settings
from asr_api.transcriber import Transcriber, collect
from asr_api.transcript import Transcript, TranscriptPart

OK, SOURCE_FAILED, SOURCE_INCOMPLETE = 0, 1, 3
STDIN_BLOCK_BYTES = 2**16
MAX_AT_ONCE = 16  # sources; each brings several windows, so that fewer already fill the engine
BAR = "{percentage:3.0f}% {bar:20} {n:.0f}/{total:.0f} s of audio, {desc} [{elapsed}<{remaining}]"


class Ending(enum.Enum):
    """How a source ended."""

    WHOLE = enum.auto()
    INCOMPLETE = enum.auto()
    FAILED = enum.auto()


async def transcribe(settings: Settings, given: Sequence[str], wishes: Sequence[RawParameter], output: Output) -> int:
    """The exit code. Raises StartupError or InvalidParameter when nothing can be transcribed at all."""
    options = read_parameters(wishes, default_options(settings))
    sources = list_sources(given)
    output.check(sources)
    output = replace(output, names_sources=len(sources) > 1)
    if options.words and output.format.name == "text":
        raise StartupError("--words asks for times, which --format text has none of; add --format json, srt or vtt.")
    policy = replace(media_policy(settings), local_paths=LocalPaths())
    async with open_transcriber(settings, Metrics()) as transcriber:
        check_parameters(options, transcriber.info)
        with _Progress(transcriber, len(sources)) as progress:
            desk = _Desk(transcriber, policy, options, progress)
            endings = await _transcribe_in_order(desk, sources, output, settings.max_queued_requests)
    if Ending.FAILED in endings:
        return SOURCE_FAILED
    return SOURCE_INCOMPLETE if Ending.INCOMPLETE in endings else OK


async def _transcribe_in_order(
    desk: _Desk, sources: Sequence[Source], output: Output, max_requests: int
) -> list[Ending]:
    places = asyncio.Semaphore(min(MAX_AT_ONCE, max_requests))
    tasks = [asyncio.create_task(desk.transcribe(source, places)) for source in sources]
    try:
        return [
            await _deliver(source, task, output, desk.progress) for source, task in zip(sources, tasks, strict=True)
        ]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _deliver(source: Source, task: asyncio.Task[Transcript], output: Output, progress: _Progress) -> Ending:
    """Writes one transcript as soon as it is there."""
    try:
        transcript = await task
        with progress.paused():
            output.write(source, transcript)
    except BrokenPipeError:  # the reader of stdout has left, and with it the point of all others
        raise
    except (AsrError, OSError) as error:
        reason = str(error) if isinstance(error, AsrError) else f"it can't be read ({error.strerror}); name another."
        with progress.paused():
            sys.stderr.write(f"asr-api: {source.name}: {reason}\n")
        return Ending.FAILED
    finally:
        progress.finish_source()
    with progress.paused():
        sys.stderr.writelines(f"asr-api: {source.name}: {notice}\n" for notice in _notices(transcript, output))
    return Ending.INCOMPLETE if transcript.is_truncated or transcript.is_damaged else Ending.WHOLE


def _notices(transcript: Transcript, output: Output) -> Iterator[str]:
    """What people should know of a transcript and may not see in it."""
    if transcript.is_truncated:
        yield "the file breaks off; this is the text of its good part."
    if transcript.is_damaged:
        yield "parts of the file can't be decoded; their text is missing, and later times may be early."
    if transcript.num_doubts and output.format.name != "json":
        yield f"passages that may be wrong or were left out: {transcript.num_doubts}; --format json tells which."


async def _read_stdin() -> AsyncIterator[bytes]:
    if sys.stdin is None:
        raise PathNotFound("it is closed; pipe a recording into it.")
    while block := await in_background(lambda: os.read(sys.stdin.fileno(), STDIN_BLOCK_BYTES)):
        yield block


@dataclass(frozen=True, slots=True)
class _Desk:
    """What every source is transcribed with."""

    transcriber: Transcriber
    policy: MediaPolicy
    options: TranscribeOptions
    progress: _Progress

    async def transcribe(self, source: Source, places: asyncio.Semaphore) -> Transcript:
        async with places, await self._open(source) as spool:
            return await collect(self._watched(self.transcriber.transcribe(spool, self.options)))

    async def _open(self, source: Source) -> Spool:
        if source.place == STDIN:
            return await spool_chunks(_read_stdin(), sys.maxsize)
        try:
            return await open_reference(source.place, self._policy_for(source), is_local_client=True)
        except PathNotFound:
            raise _missing(source.place) from None

    def _policy_for(self, source: Source) -> MediaPolicy:
        """People may open what they like of their own; what comes from elsewhere is bounded."""
        return self.policy if names_link(source.place) else replace(self.policy, max_media_bytes=sys.maxsize)

    async def _watched(self, parts: AsyncGenerator[TranscriptPart, None]) -> AsyncGenerator[TranscriptPart, None]:
        done_ms = 0
        async with aclosing(parts):
            async for part in parts:
                self.progress.advance((part.audio_ms - done_ms) / 1000)
                done_ms = part.audio_ms
                yield part


def _missing(place: str) -> PathNotFound:
    if Path(place).is_symlink():
        return PathNotFound("it is a link that leads nowhere; mend or remove it.")
    return PathNotFound("there is no such file; check the spelling.")


class _Progress:
    """Seconds of audio done and known to be left, on stderr when that is a terminal."""

    def __init__(self, transcriber: Transcriber, num_sources: int) -> None:
        self._transcriber = transcriber
        self._num_sources = num_sources
        self._num_finished = 0
        self._bar = tqdm(total=0, bar_format=BAR, leave=False, file=sys.stderr, disable=not sys.stderr.isatty())
        self._describe()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def advance(self, audio_s: float) -> None:
        self._bar.total = self._bar.n + audio_s + self._transcriber.backlog_s
        self._bar.update(audio_s)

    def finish_source(self) -> None:
        self._num_finished += 1
        self._describe()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While something else is written to the terminal."""
        self._bar.clear()
        yield
        self._bar.refresh()

    def _describe(self) -> None:
        self._bar.set_description_str(f"{self._num_finished} of {self._num_sources} done")
