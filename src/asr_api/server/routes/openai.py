"""OpenAI's audio API: `POST /v1/audio/transcriptions` and `/v1/audio/translations`, `GET /v1/models`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from asr_api.audio.sources.spool import Spool
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import InvalidParameter, ModelNotFound
from asr_api.options import Task, TranscribeOptions
from asr_api.parameters import RawParameter
from asr_api.server.dialects.openai_replies import OpenAIEvents, openai_writer
from asr_api.server.dialects.openai_request import (
    DEPENDENT_FIELDS,
    FILE_FIELDS,
    OpenAIRequest,
    check_query,
    read_openai_request,
)
from asr_api.server.dialects.openai_schemas import MODEL_EXAMPLE, ModelCapabilities, ModelList, ModelObject
from asr_api.server.model_names import ModelNames
from asr_api.server.openapi_openai import MODEL_RESPONSES, TRANSCRIPTION, TRANSLATION
from asr_api.server.transcription_endpoint import TranscriptionEndpoint
from asr_api.text.languages import LANGUAGES

PREFIX = "/v1"
ModelId = Annotated[str, Path(examples=[MODEL_EXAMPLE], description="May contain slashes.")]


def openai_router(endpoint: TranscriptionEndpoint) -> APIRouter:
    router = APIRouter(prefix=PREFIX)
    names = ModelNames(endpoint.settings.model_id, endpoint.settings.model_aliases)
    started_s = int(time.time())

    def describe(name: str) -> ModelObject:
        owner = name.partition("/")[0] if "/" in name else "asr-api"
        return ModelObject(id=name, created=started_s, owned_by=owner, capabilities=_capabilities(endpoint.model_info))

    @router.post("/audio/transcriptions", summary="Transcribe audio, as OpenAI's API", **TRANSCRIPTION)
    async def transcribe(request: Request) -> Response:
        """Every official client of OpenAI works with the base URL `http://HOST:PORT/v1`.

        ```sh
        curl -F model=whisper-1 -F file=@talk.mp3 http://localhost:8000/v1/audio/transcriptions
        curl -F response_format=srt -F file=@talk.mp3 http://localhost:8000/v1/audio/transcriptions
        curl -N -F stream=true -F file=@talk.mp3 http://localhost:8000/v1/audio/transcriptions
        ```
        """
        return await _answer(endpoint, names, request, "transcribe")

    @router.post("/audio/translations", summary="Translate audio into English, as OpenAI's API", **TRANSLATION)
    async def translate(request: Request) -> Response:
        """As transcriptions; the text is in English.

        ```sh
        curl -F model=whisper-1 -F file=@talk.mp3 http://localhost:8000/v1/audio/translations
        ```
        """
        return await _answer(endpoint, names, request, "translate")

    @router.get("/models", summary="Models, as OpenAI's API", response_model_exclude_none=True)
    async def list_models() -> ModelList:
        """The served model, the names that stand for it, and what it can do."""
        return ModelList(data=[describe(name) for name in names.all])

    @router.get(
        "/models/{model_id:path}",
        summary="One model, as OpenAI's API",
        responses=MODEL_RESPONSES,
        response_model_exclude_none=True,
    )
    async def get_model(model_id: ModelId) -> ModelObject:
        """By any of its names."""
        if not model_id:
            raise ModelNotFound("The address has no name of a model; GET /v1/models lists them.", parameter="model")
        names.resolve(model_id)
        return describe(model_id)

    return router


async def _answer(endpoint: TranscriptionEndpoint, names: ModelNames, request: Request, task: Task) -> Response:
    call = endpoint.admit(request)
    check_query(request.query_params)

    def read(fields: Sequence[RawParameter]) -> tuple[OpenAIRequest, TranscribeOptions]:
        asked = read_openai_request(fields, endpoint.defaults, task)
        call.scope.model = names.resolve(asked.model)
        call.scope.limit_time(asked.options.timeout_s)
        return asked, asked.transcribe_options(call.info)

    def early_options(fields: Sequence[RawParameter]) -> TranscribeOptions | None:
        try:
            return read(fields)[1]
        except InvalidParameter as error:
            if error.parameter in DEPENDENT_FIELDS:
                return None
            raise

    def answer(fields: Sequence[RawParameter], upload: Spool) -> Response:
        asked, options = read(fields)
        if asked.is_streamed:
            events = OpenAIEvents(call.scope.request_id, has_logprobs=asked.has_logprobs)
            return endpoint.stream(call, upload, options, events)
        return endpoint.reply(call, upload, options, openai_writer(asked))

    return await endpoint.reception.answer_form(call, FILE_FIELDS, answer, early_options)


def _capabilities(info: EngineInfo | None) -> ModelCapabilities | None:
    if info is None:
        return None
    return ModelCapabilities(
        languages={code: LANGUAGES.get(code, code) for code in info.languages},
        language_detection=info.can_detect_language,
        translation=info.can_translate,
        prompts=info.can_prompt,
        word_timestamps=info.has_word_timestamps,
    )
