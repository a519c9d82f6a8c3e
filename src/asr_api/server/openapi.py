"""What `/openapi.json` says about the requests and replies that FastAPI cannot read from signatures."""

from __future__ import annotations

from typing import Any

from asr_api import __version__
from asr_api.parameters import PARAMETERS, Parameter

_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error", "code", "request_id"],
    "properties": {
        "error": {"type": "string", "description": "One sentence with the remedy."},
        "code": {"type": "string", "description": "Stable; programs may rely on it."},
        "request_id": {"type": "string", "description": "Also in the header x-request-id and in the server's log."},
    },
}
_RETRY_AFTER = {
    "retry-after": {"description": "Seconds until it is worth trying again.", "schema": {"type": "integer"}}
}


def _error(description: str, code: str, sentence: str, *, is_retryable: bool = False) -> dict[str, Any]:
    example = {"error": sentence, "code": code, "request_id": "5f0c2b9e6d0a4d6f9a8b7c6d5e4f3a2b"}
    reply: dict[str, Any] = {
        "description": description,
        "content": {"application/json": {"schema": _ERROR_SCHEMA, "example": example}},
    }
    return reply | {"headers": _RETRY_AFTER} if is_retryable else reply


ERROR_503 = _error(
    "Not now: the model is being loaded, the engine restarts, the server drains, or its disk is full.",
    "model_loading",
    "The model is still being loaded; try again in a few seconds.",
    is_retryable=True,
)
HEALTH_RESPONSE: dict[str, Any] = {
    "description": "The engine can work.",
    "content": {"application/json": {"example": {"status": "ok", "version": __version__}}},
}


def _schema(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": parameter.kind}
    if parameter.kind == "array":
        schema["items"] = {"type": "string"}
    if parameter.kind == "number":
        schema |= {"minimum": 0, "maximum": 1}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    return schema


def _description(parameter: Parameter) -> str:
    also = "".join(f" Also called {alias}." for alias in parameter.aliases)
    return f"{parameter.description[0].upper()}{parameter.description[1:]}.{also}"


ASR_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": parameter.name,
        "in": "query",
        "required": False,
        "description": _description(parameter),
        "schema": _schema(parameter),
    }
    for parameter in PARAMETERS
]
ASR_REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "description": "The bytes of an audio or video file under any content type, or JSON that names one.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["url"],
                "properties": {
                    "url": {
                        "type": "string",
                        "description": "An http(s) link, or a path on the server if it allows it.",
                    },
                    **{
                        parameter.name: _schema(parameter) | {"description": _description(parameter)}
                        for parameter in PARAMETERS
                    },
                },
            },
            "example": {"url": "https://example.org/speech.mp3"},
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "audio/*": {"schema": {"type": "string", "format": "binary"}},
    },
}

_NUMBER_HEADERS = {
    "x-processing-time": "Seconds it took, without the upload.",
    "x-audio-length": "Length of the audio in seconds.",
    "x-realtime-factor": "Length of the audio divided by the time it took.",
}
_TEXT_HEADERS = {
    "x-model-id": "The model.",
    "x-gpu-name": "The device that the model runs on.",
    "x-salad-machine-id": "SALAD_MACHINE_ID of the server.",
    "x-salad-container-group-id": "SALAD_CONTAINER_GROUP_ID of the server.",
    "x-request-id": "Taken from the request, or made.",
    "x-language": "Code of the language that most of it is in; absent where the model can't tell.",
    "x-transcript-doubts": "How many segments may be wrong or were omitted because nobody spoke; else absent.",
    "x-audio-truncated": "1 when the file broke off and this is the text of its good part; else absent.",
    "x-audio-damaged": "1 when parts of the file can't be decoded: text is missing, and later times may be early.",
}
_TIMESTAMP = {
    "type": "array",
    "items": {"type": "number"},
    "minItems": 2,
    "maxItems": 2,
    "description": "Start and end in seconds, never null.",
}
_WORD = {
    "type": "object",
    "required": ["timestamp", "text"],
    "properties": {"timestamp": _TIMESTAMP, "text": {"type": "string"}},
}
_DOUBTS = {"type": "array", "items": {"enum": ["repetition", "low_confidence", "no_speech"]}}
_CHUNK = {
    "type": "object",
    "required": ["timestamp", "text"],
    "properties": {
        "timestamp": _TIMESTAMP,
        "text": {"type": "string"},
        "words": {"type": "array", "items": _WORD, "description": "Where words were asked for."},
        "doubts": _DOUBTS | {"description": "Why the text may be wrong; absent where nothing speaks against it."},
    },
}
_OMITTED = {
    "type": "array",
    "description": (
        "What the model wrote where nobody spoke, and is no part of the text; with an empty text, a rest of a window "
        "as loud as the speech before it in which it heard nothing. Absent where there is none."
    ),
    "items": {
        "type": "object",
        "required": ["timestamp", "text", "reasons"],
        "properties": {"timestamp": _TIMESTAMP, "text": {"type": "string"}, "reasons": _DOUBTS},
    },
}

ASR_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The transcript; silence gives an empty text and no chunks.",
        "headers": {
            name: {"description": text, "schema": {"type": kind}}
            for kind, headers in (("number", _NUMBER_HEADERS), ("string", _TEXT_HEADERS))
            for name, text in headers.items()
        },
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["text", "chunks"],
                    "properties": {
                        "text": {"type": "string"},
                        "chunks": {"type": "array", "items": _CHUNK},
                        "omitted": _OMITTED,
                    },
                },
                "example": {
                    "text": " Four score and seven years ago.",
                    "chunks": [{"timestamp": [0.0, 2.64], "text": " Four score and seven years ago."}],
                },
            }
        },
    },
    400: _error("The request or its audio is broken.", "empty_body", "The body is empty; send an audio file."),
    403: _error("Not allowed here.", "url_not_allowed", "The link leads to an address that may not be fetched."),
    404: _error("No such file.", "path_not_found", "There is no file at that path on the server; check the spelling."),
    408: _error("The body came too slowly.", "request_timeout", "The body came too slowly; use a faster line."),
    413: _error("Too large or too long.", "body_too_large", "The body has more than 512 MiB; send less."),
    415: _error("Not audio.", "unsupported_format", "This is not an audio format that can be decoded."),
    422: _error("The link could not be fetched.", "url_fetch_failed", "The link's server answered with status 404."),
    429: _error("Too busy.", "server_overloaded", "The queue is full; try again in 12 s.", is_retryable=True),
    500: _error("A bug.", "internal_error", "Something went wrong on the server."),
    502: _error("The link's server failed.", "url_upstream_error", "The link's server answered with status 500."),
    503: ERROR_503,
    504: _error("Out of time.", "url_fetch_timeout", "The link's server took too long; upload the file instead."),
}
