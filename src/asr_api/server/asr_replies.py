"""Replies of `POST /asr`: a transcript in the format that was asked for, or its events as server-sent events."""

from __future__ import annotations

from asr_api.errors import AsrError
from asr_api.events import FinalSegments, TranscriptEnd, TranscriptEvent
from asr_api.formats import FORMATS
from asr_api.formats.json import Json, asr_chunk_json, asr_json, asr_omitted_json, encode_json, seconds
from asr_api.formats.openai_json import VerboseParts, verbose_json
from asr_api.options import OutputFormat, RequestOptions
from asr_api.server.heartbeat_replies import JSON_HEARTBEAT
from asr_api.server.transcript_writer import Writer

PLAIN_TEXT = "text/plain"
MEDIA_TYPES: dict[OutputFormat, str] = {
    "text": PLAIN_TEXT,
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "tsv": "text/tab-separated-values",
}
JSON = "application/json"


def asr_writer(options: RequestOptions) -> Writer:
    """Of the format that the request asks for."""
    output, decode = options.output, options.transcribe.decode
    if output.format == "json":
        return Writer(asr_json, JSON, JSON_HEARTBEAT)
    if output.format == "verbose_json":
        parts = VerboseParts(has_words=decode.words)
        return Writer(lambda transcript: verbose_json(transcript, decode.task, parts), JSON, JSON_HEARTBEAT)
    return text_writer(options, MEDIA_TYPES[output.format])


def text_writer(options: RequestOptions, media_type: str = PLAIN_TEXT) -> Writer:
    """Of a format that is no JSON."""
    write = FORMATS[options.output.format]
    return Writer(lambda transcript: write(transcript, options.output.subtitles), f"{media_type}; charset=utf-8")


class AsrEvents:
    """`event: chunk` for each chunk as it comes, `event: omitted`, at the end one `event: done` or `event: error`."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._text = ""

    def encode(self, event: TranscriptEvent) -> str:
        if not isinstance(event, FinalSegments):
            return sse(self._end(event), "done")
        self._text += "".join(segment.text for segment in event.segments)
        chunks = [sse(asr_chunk_json(segment), "chunk") for segment in event.segments]
        return "".join(chunks + [sse(asr_omitted_json(segment), "omitted") for segment in event.omitted])

    def _end(self, event: TranscriptEnd) -> str:
        end: Json = {"text": self._text, "language": event.language, "duration": seconds(event.audio_ms)}
        marks = {"truncated": event.end.is_truncated, "damaged": event.end.is_damaged}
        return encode_json(end | {name: True for name, is_set in marks.items() if is_set})

    def error(self, error: AsrError) -> str:
        return sse(encode_json({"error": str(error), "code": error.code, "request_id": self._request_id}), "error")


def sse(data: str, name: str = "") -> str:
    """One server-sent event. data: on one line"""
    return f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n"
