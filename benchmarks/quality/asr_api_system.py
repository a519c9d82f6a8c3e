"""asr-api as a system: `asr-api serve` on a free port, called over HTTP, with words; other settings are defaults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.quality.model import Model, server_folder
from benchmarks.quality.recording import Word
from benchmarks.quality.system import Transcribe
from benchmarks.quality.transcription import Transcription
from benchmarks.server.process import started_server


@dataclass(frozen=True, slots=True)
class AsrApi:
    compute_type: str
    preset: str = "fast"
    package: str = "asr-api"

    def convert(self, model: Model) -> Path:
        return server_folder(model)

    @contextmanager
    def opened(self, folder: Path, num_threads: int) -> Iterator[Transcribe]:
        settings = {
            "MODEL_ID": str(folder),
            "COMPUTE_TYPE": self.compute_type,
            "PRESET": self.preset,
            "NUM_THREADS": str(num_threads),
        }
        timeout = httpx.Timeout(None)  # long recordings take minutes
        with started_server(settings) as (url, _), httpx.Client(base_url=url, timeout=timeout, trust_env=False) as http:

            def transcribe(path: Path, has_words: bool) -> Transcription:  # noqa: ARG001 – words change no text here
                reply = http.post("/asr", params={"words": "true"}, json={"url": str(path.resolve())})
                if reply.status_code != httpx.codes.OK:
                    raise RuntimeError(f"The server replied {reply.status_code}: {reply.text}")
                body = reply.json()
                words = (word for chunk in body["chunks"] for word in chunk.get("words", ()))
                timed = tuple(Word(word["timestamp"][0], word["text"]) for word in words)
                return Transcription(body["text"], reply.headers.get("x-language", ""), timed)

            yield transcribe
