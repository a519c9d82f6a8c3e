"""Faults of a request: 4xx, never worth a retry."""

from __future__ import annotations

from asr_api.errors.asr_error import AsrError


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


class InvalidApiKey(RequestError):
    code, status = "invalid_api_key", 401


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


class CrashingAudio(RequestError):
    """Content that has crashed the engine before, and is not tried again."""

    code, status = "request_crashed_worker", 422
