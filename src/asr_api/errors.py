"""Errors: every way in which a request, a command or a start can fail, as one tree with codes and HTTP statuses.

A message is one pattern: what is wrong, the value, the limit, what to do. The server maps these classes to responses,
the command line to exit codes.

    AsrError
    ├── RequestError                 the client's fault: 4xx, never worth a retry
    │   ├── InvalidRequest … InvalidParameter, InvalidUrl, InvalidPath, …          400
    │   ├── UrlNotAllowed, LocalPathDisabled, PathNotAllowed, OriginNotAllowed     403
    │   ├── PathNotFound, ModelNotFound, NotFound                                  404
    │   ├── MethodNotAllowed                                                       405
    │   ├── RequestTimeout                                                         408
    │   ├── BodyTooLarge, MediaTooLarge, AudioTooLong, JsonTooLarge, FormTooLarge  413
    │   ├── UnsupportedFormat, UnsupportedContentEncoding                          415
    │   ├── UrlFetchFailed, UrlTooManyRedirects                                    422
    │   └── HeadersTooLarge                                                        431
    ├── Unavailable                  not now: 429 or 503, with the time to come back
    │   ├── ServerOverloaded                                                       429
    │   └── ModelLoading, EngineRestarting, ServerDraining, SpoolFull, DecoderUnavailable   503
    ├── ServerFault                  a fault of this server or of another one: 5xx
    │   ├── InternalError, RequestCrashedWorker, DecodeAgain                       500
    │   ├── UrlUpstreamError                                                       502
    │   └── UrlFetchTimeout, DecodeTimeout, DeadlineExceeded                       504
    ├── StartupError                 the process cannot start: one line on stderr, exit code 2
    │   ├── SettingsError
    │   └── CheckpointError
    └── CannotWrite                  the command line cannot write its output
"""

from __future__ import annotations

from typing import ClassVar


class AsrError(Exception):
    """A failure with a stable `code`; `str(error)` is a sentence that is safe to show to a client.

    parameter: of the request, under the client's name, if the failure is about one
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    is_retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after_s: int | None = None, parameter: str | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.parameter = parameter

    def __reduce__(self) -> tuple[type[AsrError], tuple[str], dict[str, object]]:
        return type(self), (str(self),), vars(self)


# -- faults of the request ----------------------------------------------------------------------------------------


class RequestError(AsrError):
    code, status = "invalid_request", 400


class InvalidRequest(RequestError):
    code = "invalid_request"


class InvalidJson(RequestError):
    code = "invalid_json"


class InvalidForm(RequestError):
    code = "invalid_form"


class MissingFile(RequestError):
    code = "missing_file"


class EmptyBody(RequestError):
    code = "empty_body"


class MissingUrl(RequestError):
    code = "missing_url"


class InvalidUrl(RequestError):
    code = "invalid_url"


class UnsupportedUrlScheme(RequestError):
    code = "unsupported_url_scheme"


class InvalidPath(RequestError):
    code = "invalid_path"


class PathNotFile(RequestError):
    code = "path_not_file"


class InvalidParameter(RequestError):
    code = "invalid_parameter"


class InvalidHost(RequestError):
    code = "invalid_host"


class InvalidAudio(RequestError):
    code = "invalid_audio"


class NoAudioStream(RequestError):
    code = "no_audio_stream"


class EmptyAudio(RequestError):
    code = "empty_audio"


class AudioTooShort(RequestError):
    code = "audio_too_short"


class UrlNotAllowed(RequestError):
    """addresses: those of the link's host, if they are the reason; for the command line, never for a client"""

    code, status = "url_not_allowed", 403
    addresses: tuple[str, ...] = ()


class LocalPathDisabled(RequestError):
    code, status = "local_path_disabled", 403


class PathNotAllowed(RequestError):
    code, status = "path_not_allowed", 403


class OriginNotAllowed(RequestError):
    code, status = "origin_not_allowed", 403


class PathNotFound(RequestError):
    code, status = "path_not_found", 404


class ModelNotFound(RequestError):
    code, status = "model_not_found", 404


class NotFound(RequestError):
    code, status = "not_found", 404


class MethodNotAllowed(RequestError):
    code, status = "method_not_allowed", 405


class HeadersTooLarge(RequestError):
    code, status = "headers_too_large", 431


class RequestTimeout(RequestError):
    code, status = "request_timeout", 408


class BodyTooLarge(RequestError):
    code, status = "body_too_large", 413


class JsonTooLarge(RequestError):
    code, status = "json_too_large", 413


class FormTooLarge(RequestError):
    code, status = "form_too_large", 413


class MediaTooLarge(RequestError):
    code, status = "media_too_large", 413


class AudioTooLong(RequestError):
    code, status = "audio_too_long", 413


class UnsupportedFormat(RequestError):
    code, status = "unsupported_format", 415


class UnsupportedContentEncoding(RequestError):
    code, status = "unsupported_content_encoding", 415


class UrlFetchFailed(RequestError):
    code, status = "url_fetch_failed", 422


class UrlTooManyRedirects(RequestError):
    code, status = "url_too_many_redirects", 422


# -- not now -----------------------------------------------------------------------------------------------------


class Unavailable(AsrError):
    code, status, is_retryable = "unavailable", 503, True


class ServerOverloaded(Unavailable):
    code, status = "server_overloaded", 429


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


# -- faults of a server -------------------------------------------------------------------------------------------


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
    code, status = "deadline_exceeded", 504


# -- the process cannot start ------------------------------------------------------------------------------------


class StartupError(AsrError):
    code = "startup_error"


class SettingsError(StartupError):
    code = "invalid_setting"


class CheckpointError(StartupError):
    code = "checkpoint_unusable"


# -- the command line --------------------------------------------------------------------------------------------


class CannotWrite(AsrError):
    code = "cannot_write"
