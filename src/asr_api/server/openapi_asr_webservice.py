"""OpenAPI of `POST /asr` with the form of whisper-asr-webservice's dialect, and of its `POST /detect-language`."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from asr_api.parameters import TIMEOUT
from asr_api.server.asr_replies import MEDIA_TYPES, PLAIN_TEXT
from asr_api.server.dialects.asr_webservice import DetectedLanguage
from asr_api.server.heartbeat_replies import EVENT_STREAM
from asr_api.server.openapi import (
    ASR_RESPONSES,
    FORM_STATUSES,
    QUERY_PARAMETERS,
    REQUEST_BODY,
    TRANSCRIPT_HEADERS,
    error_responses,
)

_BOOLEAN = {"type": "boolean"}
_STRING = {"type": "string"}
_SPEAKERS = "Has no effect; allowed for clients that always send it."


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


ENCODE = _query("encode", _BOOLEAN, "For a form. false: the file is headerless s16le, 16 kHz mono. Default: true.")
WEBSERVICE_PARAMETERS = [
    ENCODE,
    _query("diarize", _BOOLEAN, "For a form. Only false: speakers are not told apart."),
    _query("min_speakers", {"type": "integer"}, f"For a form. {_SPEAKERS}"),
    _query("max_speakers", {"type": "integer"}, f"For a form. {_SPEAKERS}"),
]
FORM_CONTENT: dict[str, Any] = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["audio_file"],
            "properties": {
                "audio_file": {
                    "type": "string",
                    "format": "binary",
                    "description": "Any audio or video file, or raw samples with encode=false. Also called file.",
                }
            },
        }
    }
}
_FORM_REPLY_HEADERS = {
    "asr-engine": {"description": "Of a form: the engine.", "schema": _STRING},
    "content-disposition": {"description": "Of a form: the file's name, with that of the output.", "schema": _STRING},
}
_TEXTS = (PLAIN_TEXT, *(media_type for media_type in MEDIA_TYPES.values() if media_type != PLAIN_TEXT), EVENT_STREAM)
_SUCCESS = ASR_RESPONSES[200] | {
    "description": "The transcript, which is empty for silence. A form is answered with text/plain, for json too.",
    "headers": TRANSCRIPT_HEADERS | _FORM_REPLY_HEADERS,
    "content": {media_type: {"schema": _STRING} for media_type in _TEXTS},
}
ASR: dict[str, Any] = {
    "response_class": Response,
    "responses": ASR_RESPONSES | {200: _SUCCESS},
    "openapi_extra": {
        "requestBody": REQUEST_BODY | {"content": REQUEST_BODY["content"] | FORM_CONTENT},
        "parameters": QUERY_PARAMETERS + WEBSERVICE_PARAMETERS,
    },
}
DETECTION: dict[str, Any] = {
    "response_model": DetectedLanguage,
    "response_class": Response,
    "responses": error_responses(*FORM_STATUSES),
    "openapi_extra": {
        "requestBody": {"required": True, "content": FORM_CONTENT},
        "parameters": [ENCODE, *(each for each in QUERY_PARAMETERS if each["name"] in {"languages", TIMEOUT})],
    },
}
