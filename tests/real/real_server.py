"""`RealServer`: a server with real weights, started as a user starts it, which keeps its replies for other tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from asr_api.engines.cpu import has_bfloat16_products
from asr_api.engines.onnx import openvino_encoder
from benchmarks.quality.alignment import Errors
from benchmarks.quality.recording import Recording
from tests.real.weights import installed_files
from tests.real.word_errors import total_errors
from tests.server.running import Server, serving

BASE, TINY_EN = "openai/whisper-base", "openai/whisper-tiny.en"
COMPUTE_TYPES = ["float32", "int8"]
if has_bfloat16_products() and openvino_encoder.is_installed():
    COMPUTE_TYPES.append("int8_bfloat16")
AT_ONCE = 8


@dataclass
class RealServer:
    server: Server
    replies: dict[object, httpx.Response] = field(default_factory=dict)

    def reply(self, audio: Recording | bytes, **parameters: str) -> httpx.Response:
        """Of `POST /asr`, which must succeed."""
        key = (audio if isinstance(audio, bytes) else audio.path, *sorted(parameters.items()))
        if key not in self.replies:
            content = audio if isinstance(audio, bytes) else audio.path.read_bytes()
            with self.server.http(timeout_s=300) as http:
                self.replies[key] = http.post("/asr", content=content, params=parameters)
        assert self.replies[key].status_code == 200, self.replies[key].text
        return self.replies[key]

    def json(self, audio: Recording | bytes, **parameters: str) -> Any:
        return self.reply(audio, **parameters).json()

    def texts(self, recordings: Sequence[Recording], **parameters: str) -> list[str]:
        """In order; requested at the same time, so that windows share batches."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda each: self.text(each, **parameters), recordings))

    def errors(self, recordings: Sequence[Recording], **parameters: str) -> Errors:
        expected = [each.text for each in recordings]
        return total_errors(zip(expected, self.texts(recordings, **parameters), strict=True))

    def text(self, audio: Recording | bytes, **parameters: str) -> str:
        return str(self.json(audio, **parameters)["text"])


@contextmanager
def real_server(folder: Path, model_id: str, compute_type: str = "auto") -> Iterator[RealServer]:
    installed_files(model_id)
    folder.mkdir(parents=True, exist_ok=True)
    with serving(folder, MODEL_ID=model_id, COMPUTE_TYPE=compute_type) as server:
        yield RealServer(server)
