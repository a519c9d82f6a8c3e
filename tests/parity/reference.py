"""The reference: prompt and token ids of transformers' generate for windows, in float32, greedy or beam search.

Needs torch and transformers, which only this folder imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from tests.engines.transcribing import TracedTranscript


@dataclass(frozen=True, slots=True)
class Reference:
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]


class ReferenceModel:
    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)  # its threads spin while they wait, which is far too slow on a busy machine
        self._model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        config = self._model.config
        self._extractor = WhisperFeatureExtractor(config.num_mel_bins, chunk_length=config.max_source_positions // 50)
        self._tokenizer = WhisperTokenizer.from_pretrained(folder)
        self._generation_config = self._model.generation_config
        self.end = int(self._generation_config.eos_token_id)

    def log_mel(self, pcm: Pcm) -> NDArray[np.float32]:
        """(n_mels, n_frames), by transformers' own extractor."""
        samples = pcm.astype(np.float32) / 32_768
        features = self._extractor(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="np").input_features
        return np.asarray(features[0], np.float32)

    def generate(self, windows: Sequence[Pcm], options: Sequence[DecodeOptions], beam_size: int = 1) -> list[Reference]:
        """One batch; its rows do not depend on each other. Only the language may differ between `options`."""
        ((task, timestamps, prompt, is_detected),) = {
            (option.task, option.timestamps, option.prompt, option.language is None) for option in options
        }
        ids = self.prompt_ids(prompt) if prompt else []
        n_prompt = len(ids) + (3 if self._generation_config.is_multilingual else 1) + (not timestamps)
        arguments: dict[str, object] = {"prompt_ids": torch.tensor(ids) if ids else None}
        if self._generation_config.is_multilingual:
            languages = None if is_detected else [option.language for option in options]
            arguments |= {"task": task, "language": languages}
        with torch.no_grad():
            output = self._model.generate(
                self._features(windows),
                return_timestamps=timestamps,
                num_beams=beam_size,
                do_sample=False,
                force_unique_generate_call=True,
                return_dict_in_generate=True,
                **arguments,
            )
        return [
            Reference(tuple(ids[:n_prompt]), tuple(token for token in ids[n_prompt:] if token != self.end))
            for ids in output.sequences.tolist()
        ]

    def prompt_ids(self, text: str) -> list[int]:
        """The tokens before the start of the transcript.

        generate takes any prompt_ids. OpenAI keeps only the last n_text_ctx // 2 - 1 of them, and so does transformers
        for the previous text of long recordings.
        """
        start, *ids = self._tokenizer.get_prompt_ids(text, return_tensors="np").tolist()
        return [start, *ids[-(self._model.config.max_target_positions // 2 - 1) :]]

    def language_probabilities(self, pcm: Pcm) -> dict[str, float]:
        """Of all languages, by code, from the same logits as detect_language."""
        start = torch.tensor([[self._generation_config.decoder_start_token_id]])
        with torch.no_grad():
            logits = self._model(self._features([pcm]), decoder_input_ids=start).logits[0, -1].double()
        codes, ids = zip(*self._generation_config.lang_to_id.items(), strict=True)
        shares = torch.softmax(logits[list(ids)], dim=0).tolist()
        return {code.strip("<|>"): share for code, share in zip(codes, shares, strict=True)}

    def _features(self, windows: Sequence[Pcm]) -> torch.Tensor:
        return torch.from_numpy(np.stack([self.log_mel(pcm) for pcm in windows]))


def assert_equal(transcripts: Sequence[TracedTranscript], expected: Sequence[Reference]) -> None:
    for index, (ours, exact) in enumerate(zip(transcripts, expected, strict=True)):
        assert (ours.prompt, ours.tokens) == (exact.prompt, exact.tokens), f"window {index}"
