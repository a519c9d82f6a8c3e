"""What transformers' greedy generate with timestamps says to a window: prompt and token ids, float32, one pass.

Needs torch and transformers, which only this folder imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from asr_api.options import TranscribeOptions


@dataclass(frozen=True, slots=True)
class Reference:
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]


class ReferenceModel:
    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)  # its threads wait for each other by spinning: hopeless on a busy machine
        self._model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self._extractor = WhisperFeatureExtractor.from_pretrained(folder)
        self._is_multilingual = self._model.generation_config.is_multilingual

    def log_mel(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        """(n_mels, n_frames), by transformers' own extractor."""
        samples = pcm.astype(np.float32) / 32_768
        features = self._extractor(samples, sampling_rate=16_000, return_tensors="np").input_features
        return np.asarray(features[0], np.float32)

    def listen(self, windows: Sequence[NDArray[np.int16]], options: TranscribeOptions) -> list[Reference]:
        """One batch: what its rows say does not depend on each other either."""
        wishes = {"task": options.task, "language": options.language} if self._is_multilingual else {}
        log_mels = np.stack([self.log_mel(pcm) for pcm in windows])
        with torch.no_grad():
            output = self._model.generate(
                torch.from_numpy(log_mels),
                return_timestamps=True,
                num_beams=1,
                do_sample=False,
                force_unique_generate_call=True,
                return_dict_in_generate=True,
                **wishes,
            )
        begin = 3 if self._is_multilingual else 1
        end = self._model.generation_config.eos_token_id
        return [
            Reference(tuple(ids[:begin]), tuple(token for token in ids[begin:] if token != end))
            for ids in output.sequences.tolist()
        ]
