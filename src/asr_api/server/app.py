"""The HTTP app: its routes and the middleware around them."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from asr_api import __version__
from asr_api.errors import AsrError, InvalidRequest, MethodNotAllowed, NotFound
from asr_api.metrics import Metrics
from asr_api.server.dialects.deepgram_replies import DEEPGRAM_STATUSES, deepgram_error_body
from asr_api.server.dialects.openai_replies import openai_error_body
from asr_api.server.error_responses import ErrorShapes
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware.access_log import AccessLogMiddleware
from asr_api.server.middleware.authentication import AuthenticationMiddleware
from asr_api.server.middleware.cors import PageOriginMiddleware
from asr_api.server.middleware.early_reply import EarlyReplyMiddleware
from asr_api.server.middleware.error_handling import ErrorMiddleware
from asr_api.server.middleware.limits import LimitsMiddleware
from asr_api.server.middleware.request_scope import RequestScopeMiddleware, request_scope
from asr_api.server.middleware.traces import TraceMiddleware, telemetry_config
from asr_api.server.routes.asr import asr_router
from asr_api.server.routes.deepgram_listen import PATH as DEEPGRAM_PATH
from asr_api.server.routes.deepgram_listen import deepgram_router
from asr_api.server.routes.detect_language import asr_webservice_router
from asr_api.server.routes.docs import docs_routes
from asr_api.server.routes.health import health_router
from asr_api.server.routes.openai import PREFIX as OPENAI_PREFIX
from asr_api.server.routes.openai import openai_router
from asr_api.server.routes.page import page_routes
from asr_api.server.routes.prometheus import metrics_router
from asr_api.server.routes.whisper_cpp_inference import whisper_cpp_router
from asr_api.server.stripped_body import SEND
from asr_api.server.transcription_endpoint import TranscriptionEndpoint
from asr_api.settings.api_keys import ApiKeys
from asr_api.settings.settings import Settings
from asr_api.tracing import open_tracer_provider

ROUTING_ERRORS: dict[int, tuple[type[AsrError], str]] = {
    404: (
        NotFound,
        "There is nothing at this address; send audio to POST /asr or /v1/audio/transcriptions, see /docs.",
    ),
    405: (MethodNotAllowed, "This address takes {allowed} and not {method}; {remedy}."),
}
REMEDIES = {"/asr": f"send the bytes of a file by POST: {SEND}"}
OTHER_ROUTING_ERROR = InvalidRequest, "The request is not one that this server can answer; see /docs."


def create_app(handle: ServiceHandle, metrics: Metrics, settings: Settings, api_keys: ApiKeys | None = None) -> FastAPI:
    """An ASGI app for any server. api_keys: None is no key. Raises SettingsError."""
    tracer_provider = open_tracer_provider() if settings.otel else None
    app = FastAPI(
        title="asr-api",
        version=__version__,
        description="Audio in, text with timestamps out.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect has no body, so a mistyped path would show nothing
        telemetry=telemetry_config(tracer_provider),
    )
    endpoint = TranscriptionEndpoint(handle, settings)
    app.include_router(asr_router(endpoint))
    app.include_router(openai_router(endpoint))
    app.include_router(asr_webservice_router(endpoint))
    app.include_router(deepgram_router(endpoint))
    app.include_router(whisper_cpp_router(endpoint))
    app.include_router(health_router(handle))
    if settings.metrics_port is None:
        app.include_router(metrics_router(metrics))
    app.router.routes += docs_routes(has_page=settings.page) + (page_routes() if settings.page else [])
    by_prefix = {OPENAI_PREFIX: openai_error_body, DEEPGRAM_PATH: deepgram_error_body}
    shapes = ErrorShapes(by_prefix, {DEEPGRAM_PATH: DEEPGRAM_STATUSES})
    # Each is put around those before it, so the last is the outermost.
    app.add_middleware(AuthenticationMiddleware, keys=api_keys or ApiKeys(), has_page=settings.page)
    app.add_middleware(LimitsMiddleware, max_body_bytes=settings.max_media_bytes)
    app.add_middleware(ErrorMiddleware, shapes=shapes)
    app.add_middleware(EarlyReplyMiddleware)
    if settings.cors_origins:
        app.add_middleware(PageOriginMiddleware, origins=settings.cors_origins, shapes=shapes)
    app.add_middleware(AccessLogMiddleware)
    if tracer_provider is not None:
        app.add_middleware(TraceMiddleware, provider=tracer_provider)
    app.add_middleware(RequestScopeMiddleware, handle=handle)
    if settings.proxy_trust:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=[str(network) for network in settings.proxy_trust])

    async def reply_to_routing_error(request: Request, error: Exception) -> Response:
        """FastAPI's own errors, in the shape of the router that the path belongs to."""
        assert isinstance(error, HTTPException)  # noqa: S101  # what it is registered for
        error_type, sentence = ROUTING_ERRORS.get(error.status_code, OTHER_ROUTING_ERROR)
        allowed, remedy = (error.headers or {}).get("Allow", ""), REMEDIES.get(request.url.path, "see /docs")
        sentence = sentence.format(allowed=allowed, method=request.method[:20], remedy=remedy)
        request.scope["state"]["error_code"] = error_type.code
        response = shapes.response(request.url.path, error_type(sentence), request_scope(request.scope).request_id)
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(HTTPException, reply_to_routing_error)
    return app
