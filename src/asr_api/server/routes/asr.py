"""`POST /asr`, the contract of the original: audio or a reference to it → text with timestamps, and headers."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from asr_api.audio.sources.open_reference import open_reference
from asr_api.compose import default_options, media_policy
from asr_api.engines.protocol import EngineInfo
from asr_api.events import fold
from asr_api.formats.json import asr_json
from asr_api.options import TranscribeOptions
from asr_api.parameters import RawParameter, check_parameters, read_parameters
from asr_api.server.admission import admit
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.local_client import is_local_client
from asr_api.server.middleware.request_scope import request_scope
from asr_api.server.openapi import ASR_RESPONSES, QUERY_PARAMETERS, REQUEST_BODY
from asr_api.server.request_body import AudioReference, read_body
from asr_api.server.stripped_body import explain_stripped_body
from asr_api.settings.settings import Settings
from asr_api.transcript import Transcript


def asr_router(handle: ServiceHandle, settings: Settings) -> APIRouter:
    router = APIRouter()
    defaults, policy = default_options(settings), media_policy(settings)

    @router.post(
        "/asr",
        summary="Transcribe audio",
        response_class=Response,
        responses=ASR_RESPONSES,
        openapi_extra={"requestBody": REQUEST_BODY, "parameters": QUERY_PARAMETERS},
    )
    async def transcribe(request: Request) -> Response:
        """Send the bytes of an audio file under any content type, or JSON that names a link or a file.

        Parameters of the query may stand in such JSON instead, under the same names.
        """
        arrived_s = time.perf_counter()
        service = admit(request, handle)
        scope = request_scope(request.scope)
        info = service.pool.get(scope.model).info
        raw = [RawParameter(name, text) for name, text in request.query_params.multi_items()]
        options = _read_options(raw, defaults, info)  # before the body: a typo costs no upload
        async with scope.running(), handle.upload_slot() as slot:
            chunks = slot.measured(request.stream())
            body = await read_body(request.headers.get("content-type", ""), chunks, settings.max_media_bytes)
        started_s = time.perf_counter()
        async with handle.until_disconnect(scope, request.receive):
            if isinstance(body, AudioReference):
                options = _read_options([*raw, *body.parameters], defaults, info)
                is_local = is_local_client(request.scope)
                async with handle.upload_slot():
                    body = await open_reference(body.url, policy, is_local_client=is_local)
                decoding: AbstractContextManager[None] = nullcontext()
            else:
                decoding = explain_stripped_body(body)
            async with body as spool:
                with decoding:
                    transcript = await fold(service.transcribe(spool, options, scope))
            content = await anyio.to_thread.run_sync(asr_json, transcript)  # up to 10 MB for hours with words
        ended_s = time.perf_counter()
        headers = _headers(transcript, info, ended_s - started_s) | {
            "x-salad-machine-id": _printable(settings.salad_machine_id),
            "x-salad-container-group-id": _printable(settings.salad_container_group_id),
            "server-timing": f"receive;dur={(started_s - arrived_s) * 1000:.0f}, "
            f"transcribe;dur={(ended_s - started_s) * 1000:.0f}",
        }
        return Response(content, media_type="application/json", headers=headers)

    return router


def _read_options(raw: list[RawParameter], defaults: TranscribeOptions, info: EngineInfo) -> TranscribeOptions:
    """Raises InvalidParameter, also for what the model cannot do."""
    options = read_parameters(raw, defaults)
    check_parameters(options, info)
    return options


def _headers(transcript: Transcript, info: EngineInfo, elapsed_s: float) -> dict[str, str]:
    """elapsed_s: without the upload, with the download of a link, as the original counted."""
    audio_s = transcript.audio_ms / 1000
    elapsed_s = max(round(elapsed_s, 4), 0.0001)  # so that the three figures agree
    headers = {
        "x-processing-time": f"{elapsed_s}",
        "x-audio-length": f"{audio_s:.3f}",
        "x-realtime-factor": f"{audio_s / elapsed_s:.4f}",
        "x-model-id": _printable(info.model_id),
        "x-gpu-name": _printable(info.device_name),
    }
    if transcript.end.is_truncated:
        headers["x-audio-truncated"] = "1"
    if transcript.end.is_damaged:
        headers["x-audio-damaged"] = "1"
    if transcript.language is not None:
        headers["x-language"] = transcript.language
    if transcript.num_doubts:
        headers["x-transcript-doubts"] = str(transcript.num_doubts)
    return headers


def _printable(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text)
