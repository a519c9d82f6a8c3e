"""`AudioReception`: bodies, forms, links and paths → spools, within the slots and the budget of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from fastapi import Response

from asr_api.audio.sources.growing_spool import GrowingSpool
from asr_api.audio.sources.open_reference import names_link, open_reference
from asr_api.audio.sources.spool import Spool
from asr_api.audio.sources.spool_budget import SpoolBudget
from asr_api.compose import media_policy
from asr_api.early_transcriptions import EarlyTranscription
from asr_api.errors import MissingFile
from asr_api.options import TranscribeOptions
from asr_api.parameters import RawParameter
from asr_api.server.api_call import ApiCall
from asr_api.server.form_data import Convert, read_form, unchanged
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.local_client import is_local_client
from asr_api.server.raw_audio import RawFormat, as_wav
from asr_api.server.request_body import AudioReference, is_form, read_body
from asr_api.server.stripped_body import explain_stripped_body
from asr_api.server.upload import Upload
from asr_api.settings.settings import Settings

Audio = Spool | AudioReference
AnswerForm = Callable[[Sequence[RawParameter], Spool], Response]
"""Fields and file of a form → the reply, which then owns the file."""
EarlyOptions = Callable[[Sequence[RawParameter]], TranscribeOptions | None]
"""Fields before the file → options with which it may be transcribed while it arrives; None if that makes no sense.

An error is one of the request, whatever fields may follow.
"""


@dataclass(frozen=True, slots=True)
class UploadedForm:
    fields: Sequence[RawParameter]
    upload: Spool
    file_name: str


def never_early(_fields: Sequence[RawParameter]) -> None:
    """The `EarlyOptions` of a route whose files are transcribed when they are complete."""


class AudioReception:
    def __init__(self, handle: ServiceHandle, settings: Settings) -> None:
        self._handle = handle
        self._policy = media_policy(settings)
        self._max_bytes = settings.max_media_bytes
        self._spools = SpoolBudget()

    async def read_body(self, call: ApiCall, options: TranscribeOptions) -> Audio:
        """options: with which audio may be transcribed while it arrives"""
        async with self._receiving(call) as chunks:
            return await read_body(call.content_type, chunks, partial(self._receive, call, options))

    async def read_raw_audio(self, call: ApiCall, options: TranscribeOptions, raw: RawFormat) -> Spool:
        """As a WAV file, or as the file that the body is. options: as in `read_body`"""
        async with self._receiving(call) as chunks:
            return await self._receive(call, options, as_wav(raw, chunks))

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
            return await self._receive(call, early_options(fields), convert(content))

        async with self._receiving(call) as chunks:
            form = await read_form(call.content_type, chunks, frozenset(file_fields), receive)
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
        async with self._handle.running(call.scope), self._handle.upload_slot(call.scope) as slot:
            with call.scope.record.timed("receive"):
                yield slot.measured(call.request.stream())

    async def _receive(
        self, call: ApiCall, early_options: TranscribeOptions | None, content: AsyncIterator[bytes]
    ) -> Upload:
        def begin(upload: GrowingSpool) -> EarlyTranscription | None:
            return None if early_options is None else call.service.begin_early(upload, early_options, call.scope)

        async with AsyncExitStack() as on_error:
            upload = await on_error.enter_async_context(Upload(self._spools.reserve(call.scope.account)))
            await upload.receive(content, self._max_bytes, begin)
            on_error.pop_all()
        return upload

    @asynccontextmanager
    async def opened(self, call: ApiCall, audio: Audio) -> AsyncIterator[Spool]:
        """Fetches a link, opens a path, or gives the upload, which stays its owner's."""
        if isinstance(audio, AudioReference):
            async with await self._open_reference(call, audio.url) as spool:
                yield spool
        elif is_form(call.content_type):
            yield audio
        else:
            with explain_stripped_body(audio):
                yield audio

    async def _open_reference(self, call: ApiCall, reference: str) -> Spool:
        if not names_link(reference):
            is_local = await is_local_client(call.request.scope)
            with call.scope.record.timed("receive"):
                return await open_reference(reference, self._policy, is_local_client=is_local)
        async with self._handle.upload_slot(call.scope, is_download=True):
            reservation = self._spools.reserve(call.scope.account)
            with call.scope.record.timed("receive"):
                return await open_reference(reference, self._policy, is_local_client=False, reservation=reservation)
