"""What transformers' generate says to windows: prompt and token ids, float32, one pass, greedy or with beams.

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
from tests.engines.transcribing import Heard


@dataclass(frozen=True, slots=True)
class Reference:
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]


class ReferenceModel:
    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)  # its threads wait for each other by spinning: hopeless on a busy machine
        self._model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self._extractor = WhisperFeatureExtractor.from_pretrained(folder)
        self._tokenizer = WhisperTokenizer.from_pretrained(folder)
        self._habits = self._model.generation_config

    def log_mel(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        """(n_mels, n_frames), by transformers' own extractor."""
        samples = pcm.astype(np.float32) / 32_768
        features = self._extractor(samples, sampling_rate=16_000, return_tensors="np").input_features
        return np.asarray(features[0], np.float32)

    def listen(
        self, windows: Sequence[NDArray[np.int16]], options: Sequence[DecodeOptions], beam_size: int = 1
    ) -> list[Reference]:
        """One batch; its rows do not depend on each other. Only the language given may differ between `options`."""
        (shared,) = {(each.task, each.timestamps, each.prompt, each.language is None) for each in options}
        task, timestamps, prompt, is_detected = shared
        wishes: dict[str, object] = {"return_timestamps": timestamps}
        if self._habits.is_multilingual:
            wishes |= {"task": task, "language": None if is_detected else [each.language for each in options]}
        n_prompt = (3 if self._habits.is_multilingual else 1) + (not timestamps)
        if prompt:
            ids = self.prompt_ids(prompt)
            wishes["prompt_ids"] = torch.tensor(ids)
            n_prompt += len(ids)
        with torch.no_grad():
            output = self._model.generate(
                self._features(windows),
                num_beams=beam_size,
                do_sample=False,
                force_unique_generate_call=True,
                return_dict_in_generate=True,
                **wishes,
            )
        return [
            Reference(tuple(ids[:n_prompt]), tuple(token for token in ids[n_prompt:] if token != self.end))
            for ids in output.sequences.tolist()
        ]

    @property
    def end(self) -> int:
        return int(self._habits.eos_token_id)

    def prompt_ids(self, text: str) -> list[int]:
        """What stands before the start of the transcript.

        generate takes any prompt_ids; that only their last n_text_ctx // 2 - 1 count is OpenAI's rule, which
        transformers follows for the earlier text of long recordings.
        """
        start, *ids = self._tokenizer.get_prompt_ids(text, return_tensors="np").tolist()
        return [start, *ids[-(self._model.config.max_target_positions // 2 - 1) :]]

    def language_probabilities(self, pcm: NDArray[np.int16]) -> dict[str, float]:
        """Of all languages, by code, from the logits that detect_language chooses by."""
        start = torch.tensor([[self._habits.decoder_start_token_id]])
        with torch.no_grad():
            logits = self._model(self._features([pcm]), decoder_input_ids=start).logits[0, -1].double()
        codes, ids = zip(*self._habits.lang_to_id.items(), strict=True)
        shares = torch.softmax(logits[list(ids)], dim=0).tolist()
        return {code.strip("<|>"): share for code, share in zip(codes, shares, strict=True)}

    def detect_language(self, windows: Sequence[NDArray[np.int16]]) -> list[int]:
        """The token of each window's language."""
        return list(self._model.detect_language(self._features(windows)).tolist())

    def lead(self, pcm: NDArray[np.int16], text: Sequence[int], one: int, other: int) -> float:
        """By how much the logit of `one` exceeds that of `other` after a prompt and some tokens."""
        with torch.no_grad():
            logits = self._model(self._features([pcm]), decoder_input_ids=torch.tensor([text])).logits[0, -1]
        return float(logits[one] - logits[other])

    def code_of(self, token: int) -> str:
        """Of a language's token."""
        return next(name for name, number in self._habits.lang_to_id.items() if number == token).strip("<|>")

    def _features(self, windows: Sequence[NDArray[np.int16]]) -> torch.Tensor:
        return torch.from_numpy(np.stack([self.log_mel(pcm) for pcm in windows]))


def assert_equal(
    theirs: ReferenceModel,
    windows: Sequence[NDArray[np.int16]],
    heard: Sequence[Heard],
    expected: Sequence[Reference],
) -> None:
    """The same prompts and tokens; a difference is told with how close the two tokens are, should it be a near-tie."""
    end = theirs.end
    for index, (pcm, ours, exact) in enumerate(zip(windows, heard, expected, strict=True)):
        assert ours.prompt == exact.prompt, f"window {index}"
        pairs = list(zip((*ours.tokens, end), (*exact.tokens, end), strict=False))
        at = next((at for at, (one, other) in enumerate(pairs) if one != other), None)
        if at is not None:
            lead = theirs.lead(pcm, exact.prompt + exact.tokens[:at], pairs[at][1], pairs[at][0])
            raise AssertionError(
                f"window {index}, token {at}: {pairs[at][0]} instead of {pairs[at][1]}, whose logit leads by {lead:.6f}"
            )
        assert ours.tokens == exact.tokens, f"window {index}"
