"""Every engine that can be measured, by its name in the tables. Its libraries are imported when it is loaded."""

from __future__ import annotations

from benchmarks.peers.asr_api_server import AsrApi
from benchmarks.peers.faster_whisper_engines import FasterWhisper
from benchmarks.peers.openvino_genai_engine import OpenvinoGenai
from benchmarks.peers.peer import Peer
from benchmarks.peers.transformers_pipeline import TransformersPipeline
from benchmarks.peers.whisper_cpp import WhisperCpp

USUAL: dict[str, Peer] = {
    "asr-api": AsrApi("auto"),
    "asr-api int8": AsrApi("int8"),
    "asr-api float32": AsrApi("float32"),
    "OpenVINO GenAI int8": OpenvinoGenai(),
    "OpenVINO GenAI int8, float32 hint": OpenvinoGenai("f32"),
    "faster-whisper int8 b8, cut": FasterWhisper("int8", 8, is_cut=True),
    "faster-whisper int8 b8, VAD": FasterWhisper("int8", 8),
    "faster-whisper int8 sequential": FasterWhisper("int8"),
    "faster-whisper float32 b8, cut": FasterWhisper("float32", 8, is_cut=True),
    "faster-whisper float32 b8, VAD": FasterWhisper("float32", 8),
    "faster-whisper float32 sequential": FasterWhisper("float32"),
    "whisper.cpp q8_0": WhisperCpp(is_quantised=True),
    "whisper.cpp f16": WhisperCpp(is_quantised=False),
    "transformers float32 b16": TransformersPipeline("float32"),
}
UNUSUAL: dict[str, Peer] = {
    "transformers bfloat16 b16": TransformersPipeline("bfloat16"),
    "faster-whisper int8 b16, cut": FasterWhisper("int8", 16, is_cut=True),
}
CATALOGUE = USUAL | UNUSUAL
BASELINES = (
    "faster-whisper int8 b8, cut",
    "faster-whisper int8 b8, VAD",
    "faster-whisper float32 b8, cut",
    "OpenVINO GenAI int8",
    "transformers float32 b16",
)
