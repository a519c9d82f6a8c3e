"""Not now: 429 or 503, with the time to come back."""

from __future__ import annotations

from asr_api.errors.asr_error import AsrError


class Unavailable(AsrError):
    code, status, is_retryable = "unavailable", 503, True


class ServerOverloaded(Unavailable):
    code, status = "server_overloaded", 429


class RateLimitExceeded(Unavailable):
    """A limit of this client's API key, not of the server."""

    code, status = "rate_limit_exceeded", 429


class ModelLoading(Unavailable):
    code = "model_loading"


class EngineRestarting(Unavailable):
    code = "engine_restarting"


class ServerDraining(Unavailable):
    code = "server_draining"


class SpoolFull(Unavailable):
    code = "spool_full"


class DecoderUnavailable(Unavailable):
    code = "decoder_unavailable"


class DeadlineUnreachable(Unavailable):
    """The server is too busy to finish the request before its deadline."""

    code = "deadline_unreachable"


class OutOfMemory(Unavailable):
    code = "out_of_memory"
