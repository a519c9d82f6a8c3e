"""OpenAPI of OpenAI's routes: their forms and replies."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from asr_api.parameters import PARAMETERS
from asr_api.server.asr_replies import PLAIN_TEXT
from asr_api.server.dialects.openai_request import FORMATS, OUR_FIELDS, WITHOUT_TIMESTAMPS, ServerVad
from asr_api.server.dialects.openai_schemas import (
    MODEL_EXAMPLE,
    OpenAIError,
    TranscriptionReply,
    TranslationReply,
    VerboseReply,
)
from asr_api.server.heartbeat_replies import EVENT_STREAM
from asr_api.server.openapi import EVENTS, FORM_STATUSES, STRING, TRANSCRIPT_HEADERS, error_responses
from asr_api.server.schemas import parameter_description, parameter_schema

_OWN_FIELDS: dict[str, Any] = {
    f"{name}[]" if parameter.kind == "array" else name: parameter_schema(parameter)
    | {"description": parameter_description(parameter)}
    for parameter in PARAMETERS
    for name in (parameter.name, *parameter.aliases)
    if name in OUR_FIELDS
}
_COMMON: dict[str, Any] = {
    "file": {"type": "string", "format": "binary", "description": "Any audio or video file; its name does not matter."},
    "model": STRING | {"example": MODEL_EXAMPLE, "description": "The served model, or a name of MODEL_ALIASES."},
    "response_format": STRING | {"enum": FORMATS, "description": "Default: json."},
    WITHOUT_TIMESTAMPS: {"type": "boolean", "description": "The opposite of timestamps."},
    "user": STRING | {"description": "It has no effect."},
    "stream": {"type": "boolean", "description": "Server-sent events, for json and text."},
}
_TRANSCRIPTION: dict[str, Any] = {
    "timestamp_granularities[]": {
        "type": "array",
        "items": STRING | {"enum": ["segment", "word"]},
        "description": "word needs verbose_json; default: segment.",
    },
    "include[]": {
        "type": "array",
        "items": STRING | {"enum": ["logprobs"]},
        "description": "For json: log-probabilities of the tokens.",
    },
    "chunking_strategy": {
        "anyOf": [{"const": "auto"}, ServerVad.model_json_schema()],
        "description": "auto, or server_vad, which mutes audio without speech. Recordings are always cut in pauses.",
    },
}


def _operation(fields: dict[str, Any], reply: object) -> dict[str, Any]:
    """Keywords of a route decorator. reply: the models of JSON replies"""
    schema = {"type": "object", "required": ["file"], "properties": fields, "additionalProperties": False}
    content = {PLAIN_TEXT: {"schema": STRING}, EVENT_STREAM: EVENTS}
    success = {"description": "The transcript.", "model": reply, "content": content, "headers": TRANSCRIPT_HEADERS}
    body = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    return {
        "response_class": Response,
        "responses": {200: success, **error_responses(*FORM_STATUSES, model=OpenAIError)},
        "openapi_extra": {"requestBody": body},
    }


TRANSCRIPTION = _operation(_OWN_FIELDS | _COMMON | _TRANSCRIPTION, TranscriptionReply | VerboseReply)
TRANSLATION = _operation(_OWN_FIELDS | _COMMON, TranslationReply | VerboseReply)
# With a range of statuses FastAPI does not add its own 422, which never comes.
MODEL_RESPONSES: dict[int | str, dict[str, Any]] = {"4XX": error_responses(404, model=OpenAIError)[404]}
