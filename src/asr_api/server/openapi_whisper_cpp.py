"""OpenAPI of whisper.cpp's `POST /inference`: its form and replies."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from asr_api.parameters import TIMEOUT
from asr_api.server.dialects.whisper_cpp_fields import (
    FIXED_NUMBERS,
    FIXED_VAD_NUMBERS,
    FLAGS_WITHOUT_EFFECT,
    MIN_MAX_SPEECH_S,
    UNAVAILABLE_FLAGS,
    UNAVAILABLE_TEXTS,
    VAD_MAX_SPEECH,
    WHOLE_FILE_NUMBERS,
)
from asr_api.server.dialects.whisper_cpp_request import FORMATS, MAX_LEN
from asr_api.server.dialects.whisper_cpp_schemas import WhisperCppReply, WhisperCppVerboseReply
from asr_api.server.openapi import FORM_STATUSES, TRANSCRIPT_HEADERS, error_responses

_STRING = {"type": "string"}
_BOOLEAN = {"type": "boolean"}
_INTEGER = {"type": "integer", "minimum": 0}
_UNIT = {"type": "number", "minimum": 0, "maximum": 1}
_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "file": (_STRING | {"format": "binary"}, "Any audio or video file."),
    "response_format": (_STRING | {"enum": list(FORMATS)}, "Default: json."),
    "language": (_STRING, "A code or an English name; auto or an empty text detects it; default: DEFAULT_LANGUAGE."),
    "translate": (_BOOLEAN, "Into English."),
    "prompt": (_STRING, "Earlier text, or an example of the style."),
    "temperature": (_UNIT, "The first sampling temperature; default: 0."),
    "temperature_inc": (_UNIT, "Step to the next temperature, for text that looks wrong; 0: none; default: 0.2."),
    "no_timestamps": (_BOOLEAN, "One segment for each window, without times."),
    "token_timestamps": (_BOOLEAN, "false: tokens without times instead of words, in verbose_json."),
    "max_len": (_INTEGER | {"maximum": MAX_LEN}, "Characters of a cue, of whole words, for srt and vtt; 0: no limit."),
    "split_on_word": (_BOOLEAN, "Cues of at most max_len, or 60, characters, for srt and vtt."),
    "offset_n": ({"type": "integer", "minimum": -1}, "Added to the numbers of srt."),
    "vad": (_BOOLEAN, "Mute what is no speech; default: the setting VAD."),
    "vad_threshold": (_UNIT, "Probability from which on it is speech; default: 0.5."),
    "vad_min_silence_duration_ms": (_INTEGER, "Shorter pauses stay as they are; default: 2000."),
    "vad_speech_pad_ms": (_INTEGER, "Kept around speech; default: 400."),
    TIMEOUT: ({"type": "number", "example": 60}, "Seconds after which the request ends; also in the query."),
    VAD_MAX_SPEECH: ({"type": "number", "minimum": MIN_MAX_SPEECH_S}, "Without effect."),
    **dict.fromkeys(FLAGS_WITHOUT_EFFECT, (_BOOLEAN, "Without effect.")),
    **{name: (_BOOLEAN, f"Only false is accepted: {reason}.") for name, reason in UNAVAILABLE_FLAGS.items()},
    **{name: (_STRING | {"maxLength": 0}, f"Refused: {reason}.") for name, reason in UNAVAILABLE_TEXTS.items()},
    **{
        name: ({"type": "number", "enum": list(values)}, "Only these values are accepted.")
        for name, values in (FIXED_NUMBERS | FIXED_VAD_NUMBERS | WHOLE_FILE_NUMBERS).items()
    },
}
_PROPERTIES = {name: schema | {"description": text} for name, (schema, text) in _FIELDS.items()}
_FORM = {"type": "object", "required": ["file"], "properties": _PROPERTIES}
_SUCCESS: dict[str, Any] = {
    "description": "The transcript.",
    "model": WhisperCppReply | WhisperCppVerboseReply,
    "content": {media: {"schema": _STRING} for media in ("text/html", "application/x-subrip", "text/vtt")},
    "headers": TRANSCRIPT_HEADERS,
}
# Keywords of a route decorator.
INFERENCE: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: _SUCCESS, **error_responses(*FORM_STATUSES)},
    "openapi_extra": {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
}
