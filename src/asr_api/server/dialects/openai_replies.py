"""Replies of OpenAI's audio API: the formats of a transcript, its events while it is transcribed, and errors."""

from __future__ import annotations

from asr_api.errors import AsrError
from asr_api.events import FinalSegments, TranscriptEnd, TranscriptEvent
from asr_api.formats.json import Json, encode_json
from asr_api.formats.openai_json import (
    languages_of,
    logprobs_of,
    token_usage,
    transcription_json,
    translation_json,
    verbose_json,
)
from asr_api.formats.text_deltas import TextDeltas
from asr_api.server.asr_replies import JSON, sse, text_writer
from asr_api.server.dialects.openai_request import OpenAIRequest
from asr_api.server.error_responses import partial_transcript
from asr_api.server.heartbeat_replies import JSON_HEARTBEAT
from asr_api.server.transcript_writer import Writer
from asr_api.transcript import Segment, Transcript

DONE = "[DONE]"
TOO_MANY_REQUESTS = 429


def openai_writer(request: OpenAIRequest) -> Writer:
    """Subtitles are plain text, as OpenAI's server sends them: the .NET client takes everything else for JSON."""

    def write(transcript: Transcript) -> str:
        if request.options.output.format == "verbose_json":
            return verbose_json(transcript, request.task, request.parts)
        if request.task == "translate":
            return translation_json(transcript)
        return transcription_json(transcript, has_logprobs=request.has_logprobs)

    is_json = request.options.output.format in {"json", "verbose_json"}
    return Writer(write, JSON, JSON_HEARTBEAT) if is_json else text_writer(request.options)


class OpenAIEvents:
    """`transcript.text.delta` for each piece of text, one `transcript.text.done` with the whole, and `[DONE]`."""

    def __init__(self, request_id: str, *, has_logprobs: bool) -> None:
        self._request_id = request_id
        self._has_logprobs = has_logprobs
        self._deltas = TextDeltas()
        self._segments: list[Segment] = []  # kept for their log-probabilities

    def encode(self, event: TranscriptEvent) -> str:
        if isinstance(event, TranscriptEnd):
            return sse(encode_json(self._done(event))) + sse(DONE)
        return self._delta(event)

    def error(self, error: AsrError) -> str:
        return sse(encode_json(openai_error_body(error, self._request_id)))

    def _delta(self, event: FinalSegments) -> str:
        delta = self._deltas.push(event.segments)
        body: Json = {"type": "transcript.text.delta", "delta": delta}
        if self._has_logprobs:
            self._segments += event.segments
            body["logprobs"] = list(logprobs_of(event.segments))
        return sse(encode_json(body)) if delta else ""

    def _done(self, end: TranscriptEnd) -> Json:
        body: Json = {"type": "transcript.text.done", "text": self._deltas.text}
        if self._has_logprobs:
            body["logprobs"] = list(logprobs_of(self._segments))
        body["languages"] = languages_of(end.language)
        body["usage"] = token_usage(end.audio_ms, end.usage.num_tokens)
        return body


def openai_error_body(error: AsrError, request_id: str) -> dict[str, object]:  # noqa: ARG001  # it is in a header
    """`{"error": {"message", "type", "param", "code"}}`"""
    if error.status == TOO_MANY_REQUESTS:
        kind = "rate_limit_error"
    else:
        kind = "invalid_request_error" if error.status < 500 else "server_error"
    body: Json = {"message": str(error), "type": kind, "param": error.parameter, "code": error.code}
    return {"error": body | partial_transcript(error)}
