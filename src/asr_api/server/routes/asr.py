"""`POST /asr`, the contract of the original: audio, or the name of audio, in; text with timestamps and headers out.

Knows the wire; the transcriber knows the rest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from asr_api.audio.sources.open_reference import open_reference
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.audio.sources.spool import Spool
from asr_api.engines.protocol import EngineInfo
from asr_api.formats.json import asr_json
from asr_api.options import TranscribeOptions
from asr_api.parameters import RawParameter, check_parameters, read_parameters
from asr_api.server.app_options import AppOptions
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware import is_local_client
from asr_api.server.openapi import ASR_PARAMETERS, ASR_REQUEST_BODY, ASR_RESPONSES
from asr_api.server.request_body import AudioReference, read_body
from asr_api.transcriber import collect
from asr_api.transcript import Transcript


def asr_router(entrance: ServiceHandle, options: AppOptions) -> APIRouter:
    router = APIRouter()
    media = options.media

    @router.post(
        "/asr",
        summary="Transcribe audio",
        response_class=Response,
        responses=ASR_RESPONSES,
        openapi_extra={"requestBody": ASR_REQUEST_BODY, "parameters": ASR_PARAMETERS},
    )
    async def transcribe(request: Request) -> Response:
        """Send the bytes of an audio file under any content type, or JSON that names a link or a file.

        What else the query asks for may stand in such JSON instead, under the same names.
        """
        arrived_s = time.perf_counter()
        given = [RawParameter(name, text) for name, text in request.query_params.multi_items()]
        wishes = _read_options(given, entrance, options.defaults)  # before the body: a typo need not cost an upload
        async with entrance.receiving() as place:
            chunks = place.counted(request.stream())
            content_type = request.headers.get("content-type", "")
            body = await entrance.run(read_body(content_type, chunks, media.max_media_bytes))
        started_s = time.perf_counter()
        if isinstance(body, AudioReference):
            wishes = _read_options([*given, *body.given], entrance, options.defaults)
        journey = _transcribe(body, wishes, entrance, media, is_local_client=is_local_client(request.scope))
        try:
            transcript = await entrance.run(journey, request.receive)
        finally:
            if isinstance(body, Spool):
                await body.aclose()
        ended_s = time.perf_counter()
        headers = _headers(transcript, entrance.enter().info, ended_s - started_s) | {
            "x-salad-machine-id": _printable(options.salad_machine_id),
            "x-salad-container-group-id": _printable(options.salad_container_group_id),
            "server-timing": f"receive;dur={(started_s - arrived_s) * 1000:.0f}, "
            f"transcribe;dur={(ended_s - started_s) * 1000:.0f}",
        }
        return Response(asr_json(transcript), media_type="application/json", headers=headers)

    return router


def _read_options(
    given: Sequence[RawParameter], entrance: ServiceHandle, defaults: TranscribeOptions
) -> TranscribeOptions:
    """Raises InvalidParameter, also for what the model can't do."""
    wishes = read_parameters(given, defaults)
    check_parameters(wishes, entrance.enter().info)
    return wishes


async def _transcribe(
    body: Spool | AudioReference,
    wishes: TranscribeOptions,
    entrance: ServiceHandle,
    media: MediaPolicy,
    *,
    is_local_client: bool,
) -> Transcript:
    if isinstance(body, AudioReference):
        async with entrance.receiving():
            body = await open_reference(body.url, media, is_local_client=is_local_client)
    async with body:  # the route closes an upload as well, because this may be cancelled before it starts
        return await collect(entrance.enter().transcribe(body, wishes))


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
    if transcript.is_truncated:
        headers["x-audio-truncated"] = "1"
    if transcript.is_damaged:
        headers["x-audio-damaged"] = "1"
    if transcript.language is not None:
        headers["x-language"] = transcript.language
    if transcript.num_doubts:
        headers["x-transcript-doubts"] = str(transcript.num_doubts)
    return headers


def _printable(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text)
