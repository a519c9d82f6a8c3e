"""Replies of whisper.cpp's `POST /inference`: bodies and content types as its server has them.

Its errors are `{"error": sentence}`, which is a part of this server's usual error body.
"""

from __future__ import annotations

from functools import partial

from asr_api.formats.whisper_cpp import (
    whisper_cpp_json,
    whisper_cpp_srt,
    whisper_cpp_text,
    whisper_cpp_verbose_json,
    whisper_cpp_vtt,
)
from asr_api.server.asr_replies import JSON, MEDIA_TYPES
from asr_api.server.dialects.whisper_cpp_request import WhisperCppRequest
from asr_api.server.heartbeat_replies import JSON_HEARTBEAT
from asr_api.server.transcript_writer import Writer

TEXT_MEDIA_TYPE = "text/html; charset=utf-8"


def whisper_cpp_writer(request: WhisperCppRequest) -> Writer:
    match request.format:
        case "json":
            return Writer(whisper_cpp_json, JSON, JSON_HEARTBEAT)
        case "verbose_json":
            write = partial(whisper_cpp_verbose_json, task=request.task, parts=request.parts)
            return Writer(write, JSON, JSON_HEARTBEAT)
        case "text":
            return Writer(whisper_cpp_text, TEXT_MEDIA_TYPE)
        case "srt":
            return Writer(partial(whisper_cpp_srt, parts=request.parts), MEDIA_TYPES["srt"])
        case "vtt":
            return Writer(partial(whisper_cpp_vtt, parts=request.parts), MEDIA_TYPES["vtt"])
