"""`asr-api transcribe`: several sources at once through one service in this process, without HTTP.

Transcripts are written in the order of the sources. A source that fails is reported on stderr; the others go on.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from asr_api.cli.exit_codes import ExitCode
from asr_api.cli.open_source import open_source
from asr_api.cli.output import Output, print_error
from asr_api.cli.progress import Progress
from asr_api.cli.sources import Source, list_sources
from asr_api.compose import Service, default_options, open_service
from asr_api.errors import AsrError, StartupError
from asr_api.events import FinalSegments, TranscriptEvent, fold
from asr_api.metrics import Metrics
from asr_api.model_options import options_for
from asr_api.options import TranscribeOptions
from asr_api.parameters import RawParameter, read_parameters
from asr_api.request import RequestScope
from asr_api.settings.settings import Settings
from asr_api.transcript import Transcript

MAX_AT_ONCE = 16  # sources in progress or waiting to be written; each has several windows, so fewer fill the engine


async def transcribe(settings: Settings, arguments: argparse.Namespace, parameters: Sequence[RawParameter]) -> ExitCode:
    """Raises StartupError or InvalidParameter when no source can be transcribed."""
    asked = read_parameters(parameters, default_options(settings))
    asked = replace(asked, output=replace(asked.output, format=arguments.format))
    sources = list_sources(arguments.sources)
    output = Output(arguments.format, arguments.output_dir, len(sources) > 1, asked.output.subtitles)
    output.check(sources)
    if asked.transcribe.decode.words and output.format == "text":
        raise StartupError("--words asks for times, and --format text has none; add --format json, srt or vtt.")
    async with open_service(settings, Metrics()) as service:
        model = service.pool.get()
        options = options_for(asked, model.info)
        with closing(Progress(len(sources), lambda: model.scheduler.backlog_s)) as progress:
            batch = BatchTranscription(
                partial(_transcribe_source, service, settings, options, progress), output, progress
            )
            return await batch.run(sources, min(MAX_AT_ONCE, settings.max_requests))


async def _transcribe_source(
    service: Service, settings: Settings, options: TranscribeOptions, progress: Progress, source: Source
) -> Transcript:
    async with await open_source(source, settings) as spool:
        request = RequestScope(request_id=source.name)
        return await fold(_with_progress(service.transcribe(spool, options, request), progress))


async def _with_progress(
    events: AsyncGenerator[TranscriptEvent, None], progress: Progress
) -> AsyncGenerator[TranscriptEvent, None]:
    done_ms = 0
    async with aclosing(events):
        async for event in events:
            if isinstance(event, FinalSegments):
                progress.advance((event.audio_ms - done_ms) / 1000)
                done_ms = event.audio_ms
            yield event


@dataclass(frozen=True, slots=True)
class BatchTranscription:
    """Many sources, transcribed concurrently and written in their order."""

    transcribe: Callable[[Source], Coroutine[None, None, Transcript]]
    output: Output
    progress: Progress

    async def run(self, sources: Sequence[Source], max_at_once: int) -> ExitCode:
        """max_at_once: sources that are started and not written yet; it bounds the transcripts in memory"""
        codes: set[ExitCode] = set()
        waiting = iter(sources)
        started: deque[tuple[Source, asyncio.Task[Transcript]]] = deque()
        try:
            while True:
                for source in islice(waiting, max_at_once - len(started)):
                    started.append((source, asyncio.create_task(self.transcribe(source))))
                if not started:
                    break
                codes.add(await self._write(*started[0]))
                started.popleft()
        finally:
            tasks = [task for _, task in started]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        worst_first = (ExitCode.SOURCE_FAILED, ExitCode.SOURCE_INCOMPLETE)
        return next((code for code in worst_first if code in codes), ExitCode.OK)

    async def _write(self, source: Source, task: asyncio.Task[Transcript]) -> ExitCode:
        """Waits for the transcript and writes it, or reports the error; returns the exit code for this source."""
        try:
            transcript = await task
            with self.progress.paused():
                self.output.write(source, transcript)
        except BrokenPipeError:  # the reader of stdout has left; the other transcripts would have no reader either
            raise
        except (AsrError, OSError) as error:
            sentence = str(error) if isinstance(error, AsrError) else f"It cannot be read: {error.strerror}."
            self._print(source, [sentence])
            return ExitCode.SOURCE_FAILED
        finally:
            self.progress.finish_source()
        self._print(source, _notices(transcript, self.output.format))
        is_incomplete = transcript.end.is_truncated or transcript.end.is_damaged
        return ExitCode.SOURCE_INCOMPLETE if is_incomplete else ExitCode.OK

    def _print(self, source: Source, sentences: Iterable[str]) -> None:
        with self.progress.paused():
            for sentence in sentences:
                print_error(f"{source.name}: {sentence}")


def _notices(transcript: Transcript, format_name: str) -> Iterator[str]:
    """Sentences about what the output does not show."""
    if transcript.end.is_truncated:
        yield "The file is truncated; this is the text of its good part."
    if transcript.end.is_damaged:
        yield "Parts of the file cannot be decoded; their text is missing, and later times may be too early."
    if transcript.num_doubts and format_name != "json":
        yield f"Passages that may be wrong or were left out: {transcript.num_doubts}; --format json marks them."
