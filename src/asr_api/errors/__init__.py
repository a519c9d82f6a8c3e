"""Errors: every way in which a request, a command or a start can fail, as one tree with codes and HTTP statuses.

A message is one pattern: what is wrong, the value, the limit, what to do. The server maps these classes to responses,
the command line to exit codes.

    AsrError
    ├── RequestError                 the client's fault: 4xx, never worth a retry
    │   ├── InvalidRequest … InvalidParameter, InvalidUrl, InvalidPath, …          400
    │   ├── InvalidApiKey                                                          401
    │   ├── UrlNotAllowed, LocalPathDisabled, PathNotAllowed, OriginNotAllowed     403
    │   ├── PathNotFound, ModelNotFound, NotFound                                  404
    │   ├── MethodNotAllowed                                                       405
    │   ├── RequestTimeout                                                         408
    │   ├── BodyTooLarge, MediaTooLarge, AudioTooLong, JsonTooLarge, FormTooLarge  413
    │   ├── UnsupportedFormat, UnsupportedContentEncoding                          415
    │   ├── UrlFetchFailed, UrlTooManyRedirects, CrashingAudio                     422
    │   └── HeadersTooLarge                                                        431
    ├── Unavailable                  not now: 429 or 503, with the time to come back
    │   ├── ServerOverloaded, RateLimitExceeded                                    429
    │   └── ModelLoading, EngineRestarting, ServerDraining, SpoolFull, DecoderUnavailable,
    │       DeadlineUnreachable, OutOfMemory                                       503
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

from asr_api.errors.asr_error import (
    AsrError,
)
from asr_api.errors.program_errors import (
    CannotWrite,
    CheckpointError,
    SettingsError,
    StartupError,
)
from asr_api.errors.request_errors import (
    AudioTooLong,
    AudioTooShort,
    BodyTooLarge,
    CrashingAudio,
    EmptyAudio,
    EmptyBody,
    FormTooLarge,
    HeadersTooLarge,
    InvalidApiKey,
    InvalidAudio,
    InvalidForm,
    InvalidHost,
    InvalidJson,
    InvalidParameter,
    InvalidPath,
    InvalidRequest,
    InvalidUrl,
    JsonTooLarge,
    LocalPathDisabled,
    MediaTooLarge,
    MethodNotAllowed,
    MissingFile,
    MissingUrl,
    ModelNotFound,
    NoAudioStream,
    NotFound,
    OriginNotAllowed,
    PathNotAllowed,
    PathNotFile,
    PathNotFound,
    RequestError,
    RequestTimeout,
    UnsupportedContentEncoding,
    UnsupportedFormat,
    UnsupportedUrlScheme,
    UrlFetchFailed,
    UrlNotAllowed,
    UrlTooManyRedirects,
)
from asr_api.errors.server_faults import (
    DeadlineExceeded,
    DecodeAgain,
    DecodeTimeout,
    InternalError,
    RequestCrashedWorker,
    ServerFault,
    UrlFetchTimeout,
    UrlUpstreamError,
)
from asr_api.errors.unavailable import (
    DeadlineUnreachable,
    DecoderUnavailable,
    EngineRestarting,
    ModelLoading,
    OutOfMemory,
    RateLimitExceeded,
    ServerDraining,
    ServerOverloaded,
    SpoolFull,
    Unavailable,
)

__all__ = [
    "AsrError",
    "AudioTooLong",
    "AudioTooShort",
    "BodyTooLarge",
    "CannotWrite",
    "CheckpointError",
    "CrashingAudio",
    "DeadlineExceeded",
    "DeadlineUnreachable",
    "DecodeAgain",
    "DecodeTimeout",
    "DecoderUnavailable",
    "EmptyAudio",
    "EmptyBody",
    "EngineRestarting",
    "FormTooLarge",
    "HeadersTooLarge",
    "InternalError",
    "InvalidApiKey",
    "InvalidAudio",
    "InvalidForm",
    "InvalidHost",
    "InvalidJson",
    "InvalidParameter",
    "InvalidPath",
    "InvalidRequest",
    "InvalidUrl",
    "JsonTooLarge",
    "LocalPathDisabled",
    "MediaTooLarge",
    "MethodNotAllowed",
    "MissingFile",
    "MissingUrl",
    "ModelLoading",
    "ModelNotFound",
    "NoAudioStream",
    "NotFound",
    "OriginNotAllowed",
    "OutOfMemory",
    "PathNotAllowed",
    "PathNotFile",
    "PathNotFound",
    "RateLimitExceeded",
    "RequestCrashedWorker",
    "RequestError",
    "RequestTimeout",
    "ServerDraining",
    "ServerFault",
    "ServerOverloaded",
    "SettingsError",
    "SpoolFull",
    "StartupError",
    "Unavailable",
    "UnsupportedContentEncoding",
    "UnsupportedFormat",
    "UnsupportedUrlScheme",
    "UrlFetchFailed",
    "UrlFetchTimeout",
    "UrlNotAllowed",
    "UrlTooManyRedirects",
    "UrlUpstreamError",
]
