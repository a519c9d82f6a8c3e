"""OpenAPI of `POST /asr`: the parts that FastAPI cannot derive (raw bodies, headers, error statuses)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from asr_api.parameters import PARAMETERS
from asr_api.server.asr_replies import MEDIA_TYPES
from asr_api.server.dialects.openai_schemas import VerboseReply
from asr_api.server.heartbeat_replies import EVENT_STREAM
from asr_api.server.schemas import AsrReply, AsrRequest, ErrorReply, parameter_description, parameter_schema

QUERY_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": parameter.name,
        "in": "query",
        "description": parameter_description(parameter),
        "schema": parameter_schema(parameter),
    }
    for parameter in PARAMETERS
]
BINARY = {"schema": {"type": "string", "format": "binary"}}
REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "description": "The bytes of an audio or video file under any content type, or JSON that names one.",
    "content": {
        "application/json": {"schema": AsrRequest.model_json_schema()},
        "application/octet-stream": BINARY,
        "audio/*": BINARY,
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
    "x-language": "Code of the language with the most time of speech; absent if the model has no languages.",
    "x-transcript-doubts": "Number of segments that may be wrong or were omitted as no speech; absent if none.",
    "x-audio-truncated": "1 if the file broke off and this is the text of its good part; else absent.",
    "x-audio-damaged": "1 if parts of the file cannot be decoded: text is missing, and later times may be early.",
}
_RETRY_AFTER = {"retry-after": {"description": "Seconds until a retry makes sense.", "schema": {"type": "integer"}}}
_ERRORS = {
    400: "The request or its audio is broken.",
    403: "The link, path or origin is not allowed here.",
    404: "There is no such file or model.",
    408: "The body came too slowly.",
    413: "The body, the file or the audio is too large.",
    415: "The data is not audio that can be decoded.",
    422: "The link cannot be fetched.",
    429: "The server is full.",
    500: "The server failed.",
    502: "The link's server failed.",
    503: "Not now: the model is being loaded, the engine restarts, the server drains, or its disk is full.",
    504: "The link's server, the decoding or the request took too long.",
}


FORM_STATUSES = (400, 403, 404, 408, 413, 415, 422, 429, 500, 503, 504)  # of routes that take no links


def error_responses(*statuses: int, model: type[BaseModel] = ErrorReply) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`."""
    return {
        status: {"description": _ERRORS[status], "model": model}
        | ({"headers": _RETRY_AFTER} if status in {429, 503} else {})
        for status in statuses
    }


TRANSCRIPT_HEADERS = {
    name: {"description": text, "schema": {"type": kind}}
    for kind, headers in (("number", _NUMBER_HEADERS), ("string", _TEXT_HEADERS))
    for name, text in headers.items()
}
STRING = {"type": "string"}
# One server-sent event, as FastAPI describes them.
EVENTS = {"itemSchema": {"type": "object", "required": ["data"], "properties": {"event": STRING, "data": STRING}}}
_TEXTS = {media_type: {"schema": STRING} for media_type in MEDIA_TYPES.values()}
ASR_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The transcript; silence gives an empty text and no chunks.",
        "model": AsrReply | VerboseReply,
        "content": {**_TEXTS, EVENT_STREAM: EVENTS},
        "headers": TRANSCRIPT_HEADERS,
    },
    **error_responses(*_ERRORS),
}
