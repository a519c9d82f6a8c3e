"""The HTTP request of a planned one: path, headers and body of each API."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.chaos.bad_requests import BAD_REQUESTS, HttpRequest, link_request
from benchmarks.chaos.planned_requests import PlannedRequest, Route
from benchmarks.chaos.recordings import Recording

BOUNDARY = "asr-api-chaos"
FORM_TYPE = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
EVENTS = {"accept": "text/event-stream"}
SHARED = 0  # the number in a link to a recording that is not unique


def http_request(planned: PlannedRequest, recordings: Mapping[str, Recording], media_url: str) -> HttpRequest:
    if planned.is_bad:
        return BAD_REQUESTS[planned.content]
    recording = recordings[planned.content]
    if planned.route is Route.LINK:
        number = planned.number if planned.is_unique else SHARED
        return link_request(f"{media_url}/{number}/{recording.name}")
    content = recording.unique(planned.number) if planned.is_unique else recording.content
    if planned.route is Route.ASR:
        return HttpRequest("/asr", content)
    if planned.route is Route.ASR_STREAM:
        return HttpRequest("/asr", content, EVENTS)
    fields = {"model": "whisper-1"}
    if planned.route is Route.OPENAI_STREAM:
        fields["stream"] = "true"
    return HttpRequest("/v1/audio/transcriptions", form(fields, recording.name, content), FORM_TYPE)


def form(fields: Mapping[str, str], file_name: str, content: bytes) -> bytes:
    start = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    parts = [f'{start}"{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    file_start = f'{start}"file"; filename="{file_name}"\r\n\r\n'.encode()
    return b"".join([*parts, file_start, content, f"\r\n--{BOUNDARY}--\r\n".encode()])
