"""Deepgram's `POST /v1/listen`: audio or a link to it → transcript with word times, utterances and paragraphs."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from asr_api.errors import InvalidParameter, InvalidUrl
from asr_api.options import TranscribeOptions
from asr_api.parameters import RawParameter
from asr_api.server.api_call import ApiCall
from asr_api.server.audio_reception import Audio
from asr_api.server.dialects.deepgram_replies import DeepgramWriter, deepgram_request_id
from asr_api.server.dialects.deepgram_request import DeepgramRequest, read_deepgram_request
from asr_api.server.middleware.request_scope import reply_headers, request_scope
from asr_api.server.openapi_deepgram import LISTEN
from asr_api.server.request_body import AudioReference
from asr_api.server.transcription_endpoint import TranscriptionEndpoint

PATH = "/v1/listen"
REQUEST_ID_HEADER = "dg-request-id"


def deepgram_router(endpoint: TranscriptionEndpoint) -> APIRouter:
    router = APIRouter()

    @router.post(PATH, summary="Transcribe audio, as Deepgram's API", **LISTEN)
    async def listen(request: Request) -> Response:
        """Send the bytes of an audio file under any content type, or JSON with a link as `url`.

        Deepgram's official clients work with the base URL `http://HOST:PORT`. Every name of a model stands for the
        served one. Parameters that Deepgram does not know are ignored.

        ```sh
        curl --data-binary @talk.mp3 'http://localhost:8000/v1/listen?model=nova-3&smart_format=true'
        ```
        """
        request_id = deepgram_request_id(request_scope(request.scope).request_id)
        reply_headers(request.scope)[REQUEST_ID_HEADER] = request_id
        call = endpoint.admit(request)
        raw = [RawParameter(name, text) for name, text in request.query_params.multi_items()]
        asked = read_deepgram_request(raw, endpoint.defaults.transcribe)
        options = asked.transcribe_options(call.info)  # before the body: a mistake costs no upload
        audio = await _read_audio(endpoint, call, asked, options)
        return endpoint.reply(call, audio, options, DeepgramWriter(asked, call.info, request_id))

    return router


async def _read_audio(
    endpoint: TranscriptionEndpoint, call: ApiCall, asked: DeepgramRequest, options: TranscribeOptions
) -> Audio:
    if asked.raw is None:
        audio = await endpoint.reception.read_body(call, options)
        if isinstance(audio, AudioReference) and audio.parameters:
            name = audio.parameters[0].name[:40]
            raise InvalidParameter(f"The JSON has {name!r}; put parameters into the query.", parameter=name)
        if isinstance(audio, AudioReference) and not audio.url.lower().startswith(("http://", "https://")):
            raise InvalidUrl(f"url is {audio.url[:80]!r}; it must be a link that begins with http:// or https://.")
        return audio
    if call.content_type.startswith("application/json"):
        sentence = "encoding is given, and the body is JSON; a link must lead to a file, so leave encoding out."
        raise InvalidParameter(sentence, parameter="encoding")
    return await endpoint.reception.read_raw_audio(call, options, asked.raw)
