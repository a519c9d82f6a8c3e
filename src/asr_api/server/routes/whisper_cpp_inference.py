"""whisper.cpp's `POST /inference`: a form with a file → text, subtitles or JSON."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from asr_api.audio.sources.spool import Spool
from asr_api.errors import InvalidParameter
from asr_api.options import TranscribeOptions
from asr_api.parameters import RawParameter
from asr_api.server.dialects.whisper_cpp_replies import whisper_cpp_writer
from asr_api.server.dialects.whisper_cpp_request import FILE_FIELDS, WhisperCppRequest, read_whisper_cpp_request
from asr_api.server.openapi_whisper_cpp import INFERENCE
from asr_api.server.transcription_endpoint import TranscriptionEndpoint


def whisper_cpp_router(endpoint: TranscriptionEndpoint) -> APIRouter:
    router = APIRouter()

    @router.post("/inference", summary="Transcribe audio, as whisper.cpp's server", **INFERENCE)
    async def infer(request: Request) -> Response:
        """A form with a `file` of any format. Fields that whisper.cpp's server does not know are ignored.

        ```sh
        curl -F file=@talk.mp3 -F response_format=verbose_json http://localhost:8000/inference
        ```
        """
        call = endpoint.admit(request)

        def read(fields: Sequence[RawParameter]) -> tuple[WhisperCppRequest, TranscribeOptions]:
            asked = read_whisper_cpp_request(fields, endpoint.defaults.transcribe)
            call.scope.limit_time(asked.timeout_s)
            return asked, asked.transcribe_options(call.info)

        def early_options(fields: Sequence[RawParameter]) -> TranscribeOptions | None:
            try:
                return read(fields)[1]
            except InvalidParameter:  # fields behind the file may put it right
                return None

        def answer(fields: Sequence[RawParameter], upload: Spool) -> Response:
            asked, options = read(fields)
            return endpoint.reply(call, upload, options, whisper_cpp_writer(asked))

        return await endpoint.reception.answer_form(call, FILE_FIELDS, answer, early_options)

    return router
