"""`POST /asr`, the contract of the original: audio or a reference to it → text with timestamps, and headers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from asr_api.errors import InvalidParameter
from asr_api.model_options import options_for
from asr_api.parameters import RawParameter
from asr_api.server.asr_replies import AsrEvents, asr_writer
from asr_api.server.dialects.asr_webservice import transcribe_form
from asr_api.server.heartbeat_replies import EVENT_STREAM
from asr_api.server.openapi_asr_webservice import ASR
from asr_api.server.request_body import AudioReference, is_form
from asr_api.server.transcription_endpoint import TranscriptionEndpoint


def asr_router(endpoint: TranscriptionEndpoint) -> APIRouter:
    router = APIRouter()

    @router.post("/asr", summary="Transcribe audio", **ASR)
    async def transcribe(request: Request) -> Response:
        """Send the bytes of an audio file under any content type, or JSON that names a link or a file.

        Parameters of the query may stand in such JSON instead, under the same names. With `Accept: text/event-stream`
        chunks come as they are transcribed. A form with a file, `audio_file`, is answered as by whisper-asr-webservice.

        ```sh
        curl --data-binary @talk.mp3 'http://localhost:8000/asr?words=true'
        curl --data-binary @talk.mp3 'http://localhost:8000/asr?output=srt&max_line_width=32'
        curl -N -H 'Accept: text/event-stream' --data-binary @talk.mp3 http://localhost:8000/asr
        curl -F audio_file=@talk.mp3 'http://localhost:8000/asr?output=vtt'
        ```
        """
        call = endpoint.admit(request)
        if is_form(call.content_type):
            return await transcribe_form(endpoint, call)
        is_streamed = EVENT_STREAM in request.headers.get("accept", "")
        raw = [RawParameter(name, text) for name, text in request.query_params.multi_items()]
        options = endpoint.read_options(call, raw)  # before the body: a typo costs no upload
        if is_streamed and options.output.format != "json":
            sentence = (
                f"output is {options.output.format!r}, and Accept asks for a stream of events; leave one of them out."
            )
            raise InvalidParameter(sentence, parameter="output")
        audio = await endpoint.reception.read_body(call, options_for(options, call.info))
        if isinstance(audio, AudioReference):
            options = endpoint.read_options(call, [*raw, *audio.parameters])
        if is_streamed:
            return endpoint.stream(call, audio, options_for(options, call.info), AsrEvents(call.scope.request_id))
        return endpoint.reply(call, audio, options_for(options, call.info), asr_writer(options))

    return router
