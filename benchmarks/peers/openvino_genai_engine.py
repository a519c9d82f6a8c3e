"""OpenVINO GenAI's WhisperPipeline, with weights of 8 bits as `optimum-cli export openvino` writes them.

Its precision hint is left as it is, which is bfloat16 where the processor has it, or set to float32.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.peer import Heard, Opened

EXPORTER = "OPTIMUM_CLI"  # variable that names the program, where it is not on the path


@dataclass(frozen=True, slots=True)
class OpenvinoGenai:
    precision_hint: str = ""
    package: str = "openvino-genai"

    def convert(self, checkpoint: Path, cache: Path) -> Path:
        folder = cache / "openvino-int8"
        if not folder.exists():
            program = os.environ.get(EXPORTER) or shutil.which("optimum-cli")
            if not program:
                raise FileNotFoundError(f"no optimum-cli on the path, and {EXPORTER} names none; see README.md")
            task = ["--task", "automatic-speech-recognition-with-past", "--weight-format", "int8"]
            command = [program, "export", "openvino", "--model", str(checkpoint), *task, str(folder)]
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603 – a program of the user's choice
        return folder

    def open(self, model: Path, num_threads: int) -> Opened:
        from faster_whisper import decode_audio
        from openvino_genai import WhisperPipeline

        settings: dict[str, object] = {"INFERENCE_NUM_THREADS": num_threads}
        if self.precision_hint:
            settings["INFERENCE_PRECISION_HINT"] = self.precision_hint
        pipeline = WhisperPipeline(str(model), "CPU", **settings)

        def transcribe(path: Path) -> Heard:
            result = pipeline.generate(  # it reads no files, so ours are read as faster-whisper reads them
                decode_audio(str(path)), language="<|en|>", task="transcribe", return_timestamps=True
            )
            metrics = result.perf_metrics
            num_windows = len(metrics.whisper_raw_metrics.encode_inference_durations)
            return Heard(num_windows, metrics.get_num_generated_tokens())

        return Opened(os.getpid(), transcribe)
