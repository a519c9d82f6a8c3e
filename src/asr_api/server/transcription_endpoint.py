"""`TranscriptionEndpoint`: the steps of every route that transcribes, from admission to the reply.

A route reads its own parameters, names a way to write the transcript, and leaves the rest to these steps.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, nullcontext
from functools import partial

import anyio.to_thread
from fastapi import Request, Response
from starlette.types import Receive

from asr_api.audio.sources.spool import Spool
from asr_api.compose import default_options
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import ModelLoading
from asr_api.events import FinalSegments, TranscriptEnd, TranscriptEvent, fold
from asr_api.model_options import check_parameters
from asr_api.options import RequestOptions, TranscribeOptions
from asr_api.parameters import RawParameter, read_parameters
from asr_api.server.admission import admit
from asr_api.server.api_call import ApiCall
from asr_api.server.audio_reception import Audio, AudioReception
from asr_api.server.heartbeat_replies import EventStreamReply, WorkReply, is_near
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware.request_scope import request_scope
from asr_api.server.transcript_headers import transcript_headers
from asr_api.server.transcript_writer import EventEncoder, TranscriptWriter
from asr_api.server.upload import Upload
from asr_api.settings.settings import Settings

AnswerEvents = Callable[[AsyncGenerator[TranscriptEvent, None]], Awaitable[Response]]
"""Events → the reply. It need not read all of them: then the transcription ends early."""


class TranscriptionEndpoint:
    def __init__(self, handle: ServiceHandle, settings: Settings) -> None:
        self.settings = settings
        self.defaults = default_options(settings)
        self.reception = AudioReception(handle, settings)
        self._handle = handle

    def admit(self, request: Request) -> ApiCall:
        """Raises what `admission.admit` raises."""
        service = admit(request, self._handle, self.settings)
        scope = request_scope(request.scope)
        return ApiCall(request, service, scope, service.pool.get(scope.model).info)

    @property
    def model_info(self) -> EngineInfo | None:
        """Of the served model; None until it was loaded for the first time."""
        try:
            return self._handle.ready_service().pool.get().info
        except ModelLoading:
            return None

    def read_options(self, call: ApiCall, raw: list[RawParameter]) -> RequestOptions:
        """Raises InvalidParameter, also for what the model cannot do."""
        options = read_parameters(raw, self.defaults)
        check_parameters(options.transcribe, call.info)
        call.scope.limit_time(options.timeout_s)
        return options

    # -- the reply ---------------------------------------------------------------------------------------------

    def reply(self, call: ApiCall, audio: Audio, options: TranscribeOptions, writer: TranscriptWriter) -> Response:
        """Transcribes when it is sent."""
        work = partial(self._transcribe, call, audio, options, writer)
        heartbeat = None if is_near(call.scope.left_s) else writer.heartbeat
        return WorkReply(work, partial(self._while_connected, call, audio), heartbeat)

    async def _transcribe(
        self, call: ApiCall, audio: Audio, options: TranscribeOptions, writer: TranscriptWriter
    ) -> Response:
        started_s = time.monotonic()
        async with self.reception.opened(call, audio) as spool:
            transcript = await fold(self._events(call, spool, options))
            digest = spool.digest
        with call.scope.record.timed("format"):
            content = await anyio.to_thread.run_sync(writer.body, transcript, digest)  # up to 10 MB for hours of words
        ended_s = time.monotonic()
        headers = transcript_headers(transcript, call.info, self.settings, ended_s - started_s) | {
            "server-timing": f"receive;dur={(started_s - call.scope.arrived_s) * 1000:.0f}, "
            f"transcribe;dur={(ended_s - started_s) * 1000:.0f}",
            **writer.headers,
        }
        return Response(content, media_type=writer.media_type, headers=headers)

    def reply_to_events(
        self, call: ApiCall, audio: Audio, options: TranscribeOptions, answer: AnswerEvents
    ) -> Response:
        """As `reply`, with what `answer` makes of the events, and without heartbeats."""

        async def work() -> Response:
            async with (
                self.reception.opened(call, audio) as spool,
                aclosing(self._events(call, spool, options)) as events,
            ):
                return await answer(events)

        return WorkReply(work, partial(self._while_connected, call, audio), None)

    def stream(
        self, call: ApiCall, audio: Audio, options: TranscribeOptions, encoder: EventEncoder
    ) -> EventStreamReply:
        """Transcribes when it is sent, and sends text as it comes."""
        call.scope.is_streamed = True
        events = partial(self._stream, call, audio, options, encoder)
        return EventStreamReply(events, partial(self._while_connected, call, audio), encoder.error)

    async def _stream(
        self, call: ApiCall, audio: Audio, options: TranscribeOptions, encoder: EventEncoder
    ) -> AsyncGenerator[str, None]:
        """The last event comes when everything is closed, so that nothing is left to do when the client leaves."""
        last = ""
        async with (
            self.reception.opened(call, audio) as spool,
            aclosing(self._events(call, spool, options)) as events,
        ):
            async for event in events:
                encoded = encoder.encode(event)
                if isinstance(event, TranscriptEnd):
                    last = encoded
                elif encoded:
                    yield encoded
        yield last

    # -- the audio ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _while_connected(self, call: ApiCall, audio: Audio, receive: Receive) -> AsyncIterator[None]:
        """Around the work for a reply, which closes an upload even if it never begins."""
        owned = audio if isinstance(audio, Spool) else nullcontext()
        async with owned, self._handle.until_disconnect(call.scope, receive):
            yield

    async def _events(
        self, call: ApiCall, spool: Spool, options: TranscribeOptions
    ) -> AsyncGenerator[TranscriptEvent, None]:
        """The events of the file, whose audio counts for the account of the request."""
        early = spool.early if isinstance(spool, Upload) else None
        record = call.scope.record
        async with aclosing(call.service.transcribe(spool, options, call.scope, early)) as events:
            async for event in events:
                self._handle.usage.charge(call.scope, (event.audio_ms - record.audio_ms) / 1000)
                record.audio_ms = event.audio_ms
                if isinstance(event, FinalSegments) and not call.scope.is_streamed:
                    call.scope.segments += event.segments
                yield event
