"""OpenAPI of Deepgram's `POST /v1/listen`: its query, bodies and replies."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from asr_api.parameters import TIMEOUT
from asr_api.server.dialects.deepgram_request import (
    ENCODINGS,
    MAX_CHANNELS,
    MAX_PAUSE_S,
    MAX_SAMPLE_RATE_HZ,
    MIN_PAUSE_S,
    UNAVAILABLE,
)
from asr_api.server.dialects.deepgram_schemas import DeepgramError, DeepgramReply
from asr_api.server.openapi import BINARY, TRANSCRIPT_HEADERS, error_responses
from asr_api.server.schemas import EXAMPLE_URL
from asr_api.text.languages import LANGUAGES

_STRING = {"type": "string"}
_BOOLEAN = {"type": "boolean"}
_STRINGS = {"type": "array", "items": _STRING}
_RATE = {"type": "integer", "minimum": 1000, "maximum": MAX_SAMPLE_RATE_HZ}
_CHANNELS = {"type": "integer", "minimum": 1, "maximum": MAX_CHANNELS}
_PAUSE = {"type": "number", "minimum": MIN_PAUSE_S, "maximum": MAX_PAUSE_S}
_PAIRS = {"type": "array", "items": _STRING | {"pattern": "^[^:]*:"}}
_PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "model": (_STRING | {"example": "nova-3"}, "Every name stands for the served model."),
    "language": (_STRING, "Default: DEFAULT_LANGUAGE, or detection; `multi` detects it, too."),
    "detect_language": (
        {"type": "array", "items": {"enum": ["true", "false", *LANGUAGES]}},
        "true, or codes among which it is detected; the reply has detected_language. Not together with language.",
    ),
    "language_hint": ({"type": "array", "items": {"enum": [*LANGUAGES]}}, "Codes among which a language is detected."),
    "keyterm": (_STRINGS, "Names and terms that the recording may contain."),
    "keywords": (_STRINGS, "As keyterm; a boost above 0, as in `word:2`, is accepted and has no effect."),
    "smart_format": (_BOOLEAN, "Adds paragraphs; the text is always formatted."),
    "punctuate": (_BOOLEAN, "Without effect: the text is always punctuated."),
    "paragraphs": (_BOOLEAN, "Adds paragraphs and sentences."),
    "utterances": (_BOOLEAN, "Adds utterances, which end at pauses."),
    "utt_split": (_PAUSE, "Pause that ends an utterance, in seconds; default: 0.8."),
    "encoding": (_STRING | {"enum": list(ENCODINGS)}, "Of raw audio; a file that has a header is read as such."),
    "sample_rate": (_RATE, "Of raw audio; needed with encoding."),
    "channels": (_CHANNELS, "Of raw audio; default: 1. Channels are mixed."),
    "alternatives": ({"type": "integer", "const": 1}, "There is one."),
    "tag": (_STRINGS, "Repeated in the reply."),
    "extra": (_PAIRS, "NAME:VALUE, repeated in the reply."),
    TIMEOUT: ({"type": "number", "example": 60}, "Seconds after which the request ends with an error; ours."),
    "mip_opt_out": (_BOOLEAN, "Without effect: nothing that is sent is used for anything else."),
    **{name: ({"const": False}, f"Only false is accepted: {reason}.") for name, reason in UNAVAILABLE.items()},
}
_ERROR_STATUSES = (400, 403, 404, 408, 413, 429, 500, 502, 503, 504)
_LINK: dict[str, Any] = {
    "type": "object",
    "required": ["url"],
    "properties": {"url": _STRING | {"example": EXAMPLE_URL}},
    "additionalProperties": False,
}
_HEADERS = TRANSCRIPT_HEADERS | {
    "dg-request-id": {"description": "metadata.request_id", "schema": {"type": "string", "format": "uuid"}},
}
_SUCCESS = {"description": "The transcript; silence gives an empty one.", "model": DeepgramReply, "headers": _HEADERS}
# Keywords of a route decorator.
LISTEN: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: _SUCCESS, **error_responses(*_ERROR_STATUSES, model=DeepgramError)},
    "openapi_extra": {
        "parameters": [
            {"name": name, "in": "query", "schema": schema, "description": description}
            for name, (schema, description) in _PARAMETERS.items()
        ],
        "requestBody": {
            "required": True,
            "description": "The bytes of an audio or video file under any content type, or JSON with a link.",
            "content": {
                "application/json": {"schema": _LINK},
                "application/octet-stream": BINARY,
                "audio/*": BINARY,
            },
        },
    },
}
