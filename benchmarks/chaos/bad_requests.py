"""Bad requests of the load, by name; each has one answer, which a calm run learns: a status and a code."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random

import numpy as np

from asr_api.benchmark.speech import wav_bytes

JSON_TYPE = {"content-type": "application/json"}
NOISE_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Of the method POST."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def link_request(url: str) -> HttpRequest:
    return HttpRequest("/asr", json.dumps({"url": url}).encode(), JSON_TYPE)


def _noise() -> bytes:
    return Random(1).randbytes(NOISE_BYTES)  # noqa: S311


BAD_REQUESTS = {
    "empty": HttpRequest("/asr", b""),
    "noise": HttpRequest("/asr", _noise()),
    "too short": HttpRequest("/asr", wav_bytes(np.zeros(160, np.int16))),
    "cut header": HttpRequest("/asr", wav_bytes(np.zeros(160, np.int16))[:20]),
    "playlist": HttpRequest("/asr", b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1/a.wav\n"),
    "neighbour": HttpRequest("/asr", b"ffconcat version 1.0\nfile samples/hello.wav\n"),
    "half a JSON": HttpRequest("/asr", b'{"url": ', JSON_TYPE),
    "JSON without url": HttpRequest("/asr", b"{}", JSON_TYPE),
    "unknown parameter": HttpRequest("/asr?colour=red", b"x"),
    "unknown language": HttpRequest("/asr?language=klingon", b"x"),
    "metadata address": link_request("http://169.254.169.254/latest/meta-data/"),
    "scheme": link_request("gopher://127.0.0.1/a.wav"),
    "closed port": link_request("http://127.0.0.1:1/a.wav"),
    "encoding": HttpRequest("/asr", b"x", {"content-encoding": "gzip"}),
    "form without file": HttpRequest(
        "/v1/audio/transcriptions",
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n',
        {"content-type": "multipart/form-data; boundary=b"},
    ),
}
