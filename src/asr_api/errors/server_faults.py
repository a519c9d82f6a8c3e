"""Faults of this server or of another one: 5xx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asr_api.errors.asr_error import AsrError

if TYPE_CHECKING:  # it imports numpy
    from asr_api.transcript import Segment


class ServerFault(AsrError):
    code, status = "internal_error", 500


class InternalError(ServerFault):
    code = "internal_error"


class RequestCrashedWorker(ServerFault):
    code = "request_crashed_worker"


class DecodeAgain(ServerFault):
    """The PCM of a growing file is not that of the complete one: decode the complete one, from its beginning."""

    code, is_retryable = "decode_again", True


class UrlUpstreamError(ServerFault):
    code, status = "url_upstream_error", 502


class UrlFetchTimeout(ServerFault):
    code, status = "url_fetch_timeout", 504


class DecodeTimeout(ServerFault):
    code, status = "decode_timeout", 504


class DeadlineExceeded(ServerFault):
    """segments: of the transcript, that were ready in time; the client of a stream has them already"""

    code, status = "deadline_exceeded", 504
    segments: Sequence[Segment] = ()
