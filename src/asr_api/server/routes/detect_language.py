"""`POST /detect-language` and `GET /status`, which Bazarr calls beside `POST /asr`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from asr_api.server.dialects.asr_webservice import detect_language
from asr_api.server.openapi_asr_webservice import DETECTION
from asr_api.server.schemas import StatusReply
from asr_api.server.transcription_endpoint import TranscriptionEndpoint


def asr_webservice_router(endpoint: TranscriptionEndpoint) -> APIRouter:
    router = APIRouter()

    @router.post("/detect-language", summary="Detect the language, as whisper-asr-webservice", **DETECTION)
    async def detect(request: Request) -> Response:
        """The language of the first speech, however late it comes. A file in a form, as `audio_file`.

        ```sh
        curl -F audio_file=@talk.mp3 http://localhost:8000/detect-language
        ```
        """
        return await detect_language(endpoint, endpoint.admit(request))

    @router.get("/status", summary="Version, for Bazarr's test of the connection")
    async def get_status() -> StatusReply:
        """200 as soon as the server answers; `/hc` tells whether the model is ready."""
        return StatusReply()

    return router
