"""The dialect of whisper-asr-webservice, which Bazarr speaks: `POST /asr` with a form, and `POST /detect-language`.

Replies have no heartbeats: after one, an error could only break the connection off, and Bazarr would then leave the
server alone for a day. It waits an hour.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from urllib.parse import quote

from fastapi import Response
from pydantic import BaseModel, Field

from asr_api.engines.protocol import EngineInfo
from asr_api.errors import InvalidRequest
from asr_api.events import FinalSegments, TranscriptEvent
from asr_api.formats import FORMATS
from asr_api.formats.whisper_program import text_lines, whisper_json
from asr_api.model_options import check_parameters, options_for
from asr_api.options import TranscribeOptions
from asr_api.parameters import RawParameter
from asr_api.server.api_call import ApiCall
from asr_api.server.asr_replies import JSON, PLAIN_TEXT
from asr_api.server.dialects.asr_webservice_request import (
    FILE_FIELDS,
    WebserviceRequest,
    check_form_fields,
    read_detection,
    read_webservice_request,
)
from asr_api.server.transcript_writer import Writer
from asr_api.server.transcription_endpoint import TranscriptionEndpoint
from asr_api.text.languages import LANGUAGES
from asr_api.transcript import Transcript

MAX_NAME_CHARS = 255  # as in most file systems


class DetectedLanguage(BaseModel):
    detected_language: str = Field(
        default="undetermined", description="In English, in lower case.", examples=["english"]
    )
    language_code: str = Field(default="und", description="`und` if nobody speaks.", examples=["en"])
    confidence: float = Field(default=0.0, description="Probability of the language, from 0 to 1.", examples=[0.98])


async def transcribe_form(endpoint: TranscriptionEndpoint, call: ApiCall) -> Response:
    request = read_webservice_request(_query(call), endpoint.defaults)  # before the body: a typo costs no upload
    options = options_for(request.options, call.info)

    def early_options(fields: Sequence[RawParameter]) -> TranscribeOptions:
        check_form_fields(fields)
        return options

    async with endpoint.reception.received_form(call, FILE_FIELDS, request.convert, early_options) as form:
        check_form_fields(form.fields)
        return endpoint.reply(call, form.upload, options, _writer(request, call.info, form.file_name))


async def detect_language(endpoint: TranscriptionEndpoint, call: ApiCall) -> Response:
    """Of the first speech: the transcription ends with the first piece that has text."""
    request = read_detection(_query(call), endpoint.defaults)
    options, info = request.options.transcribe, call.info
    check_parameters(options, info)
    if not info.can_detect_language and len(info.languages) != 1:
        raise InvalidRequest(f"The model {info.model_id} cannot detect the language; serve one that can, such as base.")
    async with endpoint.reception.received_form(call, FILE_FIELDS, request.convert) as form:
        if info.can_detect_language:
            return endpoint.reply_to_events(call, form.upload, options, _first_language)
        await form.upload.aclose()
        return _language_reply(info.languages[0], 1.0)


def _query(call: ApiCall) -> list[RawParameter]:
    return [RawParameter(name, text) for name, text in call.request.query_params.multi_items()]


def _writer(request: WebserviceRequest, info: EngineInfo, file_name: str) -> Writer:
    """Everything is plain text, as there: clients parse JSON themselves."""
    options = request.options

    def write(transcript: Transcript) -> str:
        if options.output.format == "text":
            return text_lines(transcript)
        if options.output.format == "json":
            return whisper_json(transcript, has_words=options.transcribe.decode.words)
        return FORMATS[options.output.format](transcript, options.output.subtitles)

    name = f"{quote(file_name[:MAX_NAME_CHARS] or FILE_FIELDS[0], safe='')}.{request.extension}"
    headers = {"asr-engine": info.engine, "content-disposition": f'attachment; filename="{name}"'}
    return Writer(write, f"{PLAIN_TEXT}; charset=utf-8", headers=headers)


async def _first_language(events: AsyncGenerator[TranscriptEvent, None]) -> Response:
    async for event in events:
        if isinstance(event, FinalSegments) and event.segments and event.language is not None:
            return _language_reply(event.language, event.language_probability or 0.0)
    return Response(DetectedLanguage().model_dump_json(), media_type=JSON)


def _language_reply(code: str, probability: float) -> Response:
    reply = DetectedLanguage(
        detected_language=LANGUAGES.get(code, code), language_code=code, confidence=round(probability, 4)
    )
    return Response(reply.model_dump_json(), media_type=JSON)
