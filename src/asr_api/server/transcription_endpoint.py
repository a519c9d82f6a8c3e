"""`TranscriptionEndpoint`: the steps of every route that transcribes, from admission to the reply.

A route reads its own parameters, names a way to write the transcript, and leaves the rest to these steps.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import anyio.to_thread
from fastapi import Request, Response
from starlette.types import Receive

from asr_api.audio.sources.growing_spool import GrowingSpool
from asr_api.audio.sources.open_reference import names_link, open_reference
from asr_api.audio.sources.spool import Spool
from asr_api.audio.sources.spool_budget import SpoolBudget
from asr_api.compose import Service, default_options, media_policy
from asr_api.early_transcriptions import EarlyTranscription
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import AsrError, MissingFile
from asr_api.events import FinalSegments, TranscriptEnd, TranscriptEvent, fold
from asr_api.model_options import check_parameters
from asr_api.options import RequestOptions, TranscribeOptions
from asr_api.parameters import RawParameter, read_parameters
from asr_api.request import RequestScope
from asr_api.server.admission import admit
from asr_api.server.form_data import Convert, read_form, unchanged
from asr_api.server.heartbeat_replies import EventStreamReply, ReplyHeartbeat, WorkReply, is_near
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.local_client import is_local_client
from asr_api.server.middleware.request_scope import request_scope
from asr_api.server.raw_audio import RawFormat, as_wav
from asr_api.server.request_body import AudioReference, is_form, read_body
from asr_api.server.stripped_body import explain_stripped_body
from asr_api.server.transcript_headers import transcript_headers
from asr_api.server.upload import Upload
from asr_api.settings.settings import Settings
from asr_api.transcript import Transcript

Audio = Spool | AudioReference
AnswerForm = Callable[[Sequence[RawParameter], Spool], Response]
"""Fields and file of a form → the reply, which then owns the file."""
EarlyOptions = Callable[[Sequence[RawParameter]], TranscribeOptions | None]
"""Fields before the file → options with which it may be transcribed while it arrives; None if that makes no sense.

An error is one of the request, whatever fields may follow.
"""
AnswerEvents = Callable[[AsyncGenerator[TranscriptEvent, None]], Awaitable[Response]]
"""Events → the reply. It need not read all of them: then the transcription ends early."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A request that was admitted. arrived_s: on the clock of time.perf_counter"""

    request: Request
    service: Service
    scope: RequestScope
    info: EngineInfo
    arrived_s: float


class TranscriptWriter(Protocol):
    """How a transcript becomes a reply. heartbeat: sent while it takes long; None where the format allows none"""

    @property
    def media_type(self) -> str: ...

    @property
    def heartbeat(self) -> ReplyHeartbeat | None: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Beside those of every transcript."""

    def body(self, transcript: Transcript, digest: bytes | None) -> str:
        """digest: that of the spool. Runs in a thread."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A `TranscriptWriter` that needs nothing but the transcript."""

    write: Callable[[Transcript], str]
    media_type: str
    heartbeat: ReplyHeartbeat | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, transcript: Transcript, _digest: bytes | None) -> str:
        return self.write(transcript)


@dataclass(frozen=True, slots=True)
class UploadedForm:
    fields: Sequence[RawParameter]
    upload: Spool
    file_name: str


class EventEncoder(Protocol):
    """Transcript events as server-sent events, for one reply."""

    def encode(self, event: TranscriptEvent) -> str:
        """Any number of whole server-sent events."""

    def error(self, error: AsrError) -> str: ...


def never_early(_fields: Sequence[RawParameter]) -> None:
    """The `EarlyOptions` of a route whose files are transcribed when they are complete."""


class TranscriptionEndpoint:
    def __init__(self, handle: ServiceHandle, settings: Settings) -> None:
        self.settings = settings
        self.defaults = default_options(settings)
        self._handle = handle
        self._policy = media_policy(settings)
        self._spools = SpoolBudget()

    def admit(self, request: Request) -> ApiCall:
        """Raises what `admission.admit` raises."""
        arrived_s = time.perf_counter()
        service = admit(request, self._handle, self.settings)
        scope = request_scope(request.scope)
        return ApiCall(request, service, scope, service.pool.get(scope.model).info, arrived_s)

    def read_options(self, call: ApiCall, raw: list[RawParameter]) -> RequestOptions:
        """Raises InvalidParameter, also for what the model cannot do."""
        options = read_parameters(raw, self.defaults)
        check_parameters(options.transcribe, call.info)
        call.scope.limit_time(options.timeout_s)
        return options

    async def read_body(self, call: ApiCall, options: TranscribeOptions) -> Audio:
        """options: with which audio may be transcribed while it arrives"""
        content_type = call.request.headers.get("content-type", "")
        async with self._receiving(call) as chunks:
            return await read_body(content_type, chunks, partial(self._receive_audio, call, options))

    async def read_raw_audio(self, call: ApiCall, options: TranscribeOptions, raw: RawFormat) -> Spool:
        """As a WAV file, or as the file that the body is. options: as in `read_body`"""
        async with self._receiving(call) as chunks:
            return await self._receive_audio(call, options, as_wav(raw, chunks))

    async def answer_form(
        self, call: ApiCall, file_fields: Sequence[str], answer: AnswerForm, early_options: EarlyOptions = never_early
    ) -> Response:
        """Reads a form with a file, which may have any of these names. Raises what `answer` raises, and MissingFile."""
        async with self.received_form(call, file_fields, early_options=early_options) as form:
            return answer(form.fields, form.upload)

    @asynccontextmanager
    async def received_form(
        self,
        call: ApiCall,
        file_fields: Sequence[str],
        convert: Convert = unchanged,
        early_options: EarlyOptions = never_early,
    ) -> AsyncIterator[UploadedForm]:
        """Around making a reply, which then owns the file; an error closes it.

        convert: applied to the content of the file. Raises MissingFile and what `early_options` raises
        """

        async def receive(fields: Sequence[RawParameter], content: AsyncIterator[bytes]) -> Upload:
            return await self._receive_audio(call, early_options(fields), convert(content))

        async with self._receiving(call) as chunks:
            content_type = call.request.headers.get("content-type", "")
            form = await read_form(content_type, chunks, frozenset(file_fields), receive)
        if form.upload is None:
            name = file_fields[0]
            sentence = f"The form has no file; send one as {name}: curl -F {name}=@FILE."
            raise MissingFile(sentence, parameter=name)
        async with AsyncExitStack() as on_error:
            await on_error.enter_async_context(form.upload)
            yield UploadedForm(form.fields, form.upload, form.file_name)
            on_error.pop_all()

    @asynccontextmanager
    async def _receiving(self, call: ApiCall) -> AsyncIterator[AsyncIterator[bytes]]:
        async with call.scope.running(), self._handle.upload_slot(call.scope) as slot:
            with call.scope.record.timed("receive"):
                yield slot.measured(call.request.stream())

    async def _receive_audio(
        self, call: ApiCall, early_options: TranscribeOptions | None, content: AsyncIterator[bytes]
    ) -> Upload:
        def begin(upload: GrowingSpool) -> EarlyTranscription | None:
            return None if early_options is None else call.service.begin_early(upload, early_options, call.scope)

        async with AsyncExitStack() as on_error:
            upload = await on_error.enter_async_context(Upload(self._spools.reserve(call.scope.account)))
            await upload.receive(content, self.settings.max_media_bytes, begin)
            on_error.pop_all()
        return upload

    # -- the reply ---------------------------------------------------------------------------------------------

    def reply(self, call: ApiCall, audio: Audio, options: TranscribeOptions, writer: TranscriptWriter) -> Response:
        """Transcribes when it is sent."""
        work = partial(self._transcribe, call, audio, options, writer)
        heartbeat = None if is_near(call.scope.left_s) else writer.heartbeat
        return WorkReply(work, partial(self._while_connected, call, audio), heartbeat)

    async def _transcribe(
        self, call: ApiCall, audio: Audio, options: TranscribeOptions, writer: TranscriptWriter
    ) -> Response:
        started_s = time.perf_counter()
        async with self._opened(call, audio) as spool:
            transcript = await fold(self._events(call, spool, options))
            digest = spool.digest
        with call.scope.record.timed("format"):
            content = await anyio.to_thread.run_sync(writer.body, transcript, digest)  # up to 10 MB for hours of words
        ended_s = time.perf_counter()
        headers = transcript_headers(transcript, call.info, self.settings, ended_s - started_s) | {
            "server-timing": f"receive;dur={(started_s - call.arrived_s) * 1000:.0f}, "
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
                self._opened(call, audio) as spool,
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
            self._opened(call, audio) as spool,
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

    @asynccontextmanager
    async def _opened(self, call: ApiCall, audio: Audio) -> AsyncIterator[Spool]:
        if isinstance(audio, AudioReference):
            is_local = not names_link(audio.url) and await is_local_client(call.request.scope)
            async with self._handle.upload_slot(call.scope, is_download=True):
                reservation = self._spools.reserve(call.scope.account)
                with call.scope.record.timed("receive"):
                    spool = await open_reference(
                        audio.url, self._policy, is_local_client=is_local, reservation=reservation
                    )
            async with spool:
                yield spool
        elif is_form(call.request.headers.get("content-type", "")):
            yield audio
        else:
            with explain_stripped_body(audio):
                yield audio

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
