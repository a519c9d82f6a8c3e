"""OpenVINO GenAI's WhisperPipeline as a peer, with 8-bit weights as `optimum-cli export openvino` writes them.

Its precision hint is the default (bfloat16 on processors that have it), or float32.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.peer import Counts, LoadedEngine

EXPORTER = "OPTIMUM_CLI"  # variable with the path of the program, if it is not on PATH


@dataclass(frozen=True, slots=True)
class OpenvinoGenai:
    precision_hint: str = ""
    package: str = "openvino-genai"

    def convert(self, checkpoint: Path, cache: Path) -> Path:
        folder = cache / "openvino-int8"
        if not folder.exists():
            program = os.environ.get(EXPORTER) or shutil.which("optimum-cli")
            if not program:
                raise FileNotFoundError(f"optimum-cli is not on PATH and {EXPORTER} is not set; see README.md")
            task = ["--task", "automatic-speech-recognition-with-past", "--weight-format", "int8"]
            command = [program, "export", "openvino", "--model", str(checkpoint), *task, str(folder)]
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603 – a program of the user's choice
        return folder

    def open(self, model: Path, num_threads: int) -> LoadedEngine:
        from faster_whisper import decode_audio
        from openvino_genai import WhisperPipeline

        settings: dict[str, object] = {"INFERENCE_NUM_THREADS": num_threads}
        if self.precision_hint:
            settings["INFERENCE_PRECISION_HINT"] = self.precision_hint
        pipeline = WhisperPipeline(str(model), "CPU", **settings)

        def transcribe(path: Path) -> Counts:
            result = pipeline.generate(  # it takes samples, which are decoded as faster-whisper does it
                decode_audio(str(path)), language="<|en|>", task="transcribe", return_timestamps=True
            )
            metrics = result.perf_metrics
            num_windows = len(metrics.whisper_raw_metrics.encode_inference_durations)
            return Counts(num_windows, metrics.get_num_generated_tokens())

        return LoadedEngine(os.getpid(), transcribe)
