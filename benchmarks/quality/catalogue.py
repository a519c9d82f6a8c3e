"""Every system, by its name in the tables. Its libraries are imported when it is loaded."""

from __future__ import annotations

from benchmarks.quality.asr_api_system import AsrApi
from benchmarks.quality.faster_whisper_systems import FasterWhisper
from benchmarks.quality.system import System
from benchmarks.quality.transformers_long_form import TransformersLongForm

CATALOGUE: dict[str, System] = {
    "asr-api auto": AsrApi("auto"),
    "asr-api best": AsrApi("auto", "best"),
    "asr-api float32": AsrApi("float32"),
    "faster-whisper beam 1": FasterWhisper(1, is_batched=False),
    "faster-whisper beam 5": FasterWhisper(5, is_batched=False),
    "faster-whisper batched beam 1": FasterWhisper(1, is_batched=True),
    "faster-whisper batched beam 5": FasterWhisper(5, is_batched=True),
    "transformers": TransformersLongForm(),
}
