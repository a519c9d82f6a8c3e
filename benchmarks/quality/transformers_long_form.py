"""transformers' generate as a system, in its long form: greedy, with timestamps and temperature fallback.

The thresholds are those of OpenAI's model cards; that of the compression ratio is for tokens. The task is always named:
without a task and a language the prompt of a multilingual model has no task token, and the text breaks off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_api.pcm import SAMPLE_RATE_HZ
from benchmarks.peers.audio import pcm
from benchmarks.quality.model import Model, transformers_folder
from benchmarks.quality.recording import Word
from benchmarks.quality.system import Transcribe
from benchmarks.quality.transcription import Transcription
from benchmarks.quality.weaving import full_scale

WINDOW_SAMPLES = 30 * SAMPLE_RATE_HZ
OPTIONS = {
    "return_timestamps": True,
    "num_beams": 1,
    "condition_on_prev_tokens": False,
    "temperature": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "compression_ratio_threshold": 1.35,
    "logprob_threshold": -1.0,
    "no_speech_threshold": 0.6,
}


@dataclass(frozen=True, slots=True)
class TransformersLongForm:
    package: str = "transformers"

    def convert(self, model: Model) -> Path:
        return transformers_folder(model)

    @contextmanager
    def opened(self, folder: Path, num_threads: int) -> Iterator[Transcribe]:
        import torch
        from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration, pipeline

        torch.set_num_threads(num_threads)
        whisper = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        extractor = WhisperFeatureExtractor(feature_size=whisper.config.num_mel_bins)
        recognize = pipeline(
            "automatic-speech-recognition", model=whisper, tokenizer=tokenizer, feature_extractor=extractor
        )

        def log_mel(samples: np.ndarray) -> dict[str, torch.Tensor]:
            padding = {"padding": "longest", "truncation": False} if len(samples) > WINDOW_SAMPLES else {}
            audio = extractor(
                samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt", return_attention_mask=True, **padding
            )
            return {"input_features": audio["input_features"], "attention_mask": audio["attention_mask"]}

        def language_of(features: torch.Tensor) -> str:
            token = whisper.detect_language(features[:, :, :3000])[0]
            return tokenizer.decode([int(token)]).strip("<|>")

        def transcribe(path: Path, has_words: bool) -> Transcription:
            torch.manual_seed(0)
            samples = full_scale(pcm(path))
            mel = log_mel(samples)
            multilingual = whisper.generation_config.is_multilingual
            language = language_of(mel["input_features"]) if multilingual else "en"
            options = OPTIONS | ({"language": language, "task": "transcribe"} if multilingual else {})
            if has_words:
                output = recognize(samples, return_timestamps="word", generate_kwargs=options)
                words = tuple(Word(float(part["timestamp"][0]), part["text"]) for part in output["chunks"])
                return Transcription(output["text"], language, words)
            segments = whisper.generate(**mel, **options, return_segments=True)["segments"][0]
            text = "".join(tokenizer.decode(part["tokens"], skip_special_tokens=True) for part in segments)
            return Transcription(text, language)

        yield transcribe
