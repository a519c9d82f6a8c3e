"""Replies of Deepgram's `POST /v1/listen`: the transcript with its metadata, ids of requests, and errors."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from asr_api import __version__
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import (
    AsrError,
    InvalidApiKey,
    RateLimitExceeded,
    RequestTimeout,
    ServerOverloaded,
    UrlFetchFailed,
    UrlFetchTimeout,
    UrlTooManyRedirects,
    UrlUpstreamError,
)
from asr_api.formats.deepgram import DeepgramMetadata, deepgram_json
from asr_api.server.asr_replies import JSON
from asr_api.server.dialects.deepgram_request import DeepgramRequest
from asr_api.server.dialects.deepgram_schemas import DeepgramError
from asr_api.server.error_responses import partial_transcript
from asr_api.server.heartbeat_replies import JSON_HEARTBEAT, ReplyHeartbeat
from asr_api.transcript import Transcript

# Audio that cannot be decoded, or not be fetched, is a bad request there.
DEEPGRAM_STATUSES = {415: 400, 422: 400}
ERROR_CODES: tuple[tuple[type[AsrError], str], ...] = (
    (InvalidApiKey, "INVALID_AUTH"),
    (UrlFetchFailed, "REMOTE_CONTENT_ERROR"),
    (UrlTooManyRedirects, "REMOTE_CONTENT_ERROR"),
    (UrlUpstreamError, "REMOTE_CONTENT_ERROR"),
    (UrlFetchTimeout, "REMOTE_CONTENT_ERROR"),
    (RequestTimeout, "SLOW_UPLOAD"),
    (ServerOverloaded, "TOO_MANY_REQUESTS"),
    (RateLimitExceeded, "TOO_MANY_REQUESTS"),
)


@dataclass(frozen=True, slots=True)
class DeepgramWriter:
    """A `TranscriptWriter`. request_id: a UUID"""

    request: DeepgramRequest
    info: EngineInfo
    request_id: str
    media_type: str = JSON
    heartbeat: ReplyHeartbeat | None = JSON_HEARTBEAT

    @property
    def headers(self) -> dict[str, str]:
        return {}

    def body(self, transcript: Transcript, digest: bytes | None) -> str:
        """The digest of a file on the server is not known, and stays empty."""
        metadata = DeepgramMetadata(
            request_id=self.request_id,
            sha256=(digest or b"").hex(),
            created=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            model_id=self.info.model_id,
            model_version=__version__,
            arch=self.info.engine,
            tags=self.request.tags,
            extra=self.request.extra,
        )
        return deepgram_json(transcript, self.request.parts, metadata)


def deepgram_request_id(request_id: str) -> str:
    """A UUID, because strict clients read nothing else: the same one, or one that is derived from it."""
    try:
        return str(uuid.UUID(request_id))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, request_id))


def deepgram_error_body(error: AsrError, request_id: str) -> dict[str, object]:
    """`{"err_code", "err_msg", "request_id"}`"""
    phrase = HTTPStatus(DEEPGRAM_STATUSES.get(error.status, error.status)).phrase
    code = next((code for kind, code in ERROR_CODES if isinstance(error, kind)), phrase)
    body = DeepgramError(err_code=code, err_msg=str(error), request_id=deepgram_request_id(request_id))
    return body.model_dump() | partial_transcript(error)
