"""Greedy decoding with Whisper's timestamp rules, for evaluation: PCM windows in, timed sentences out.

A plain reference, batched over windows but without tricks; the server's engines don't use it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding, log_softmax

from training.clips import SAMPLE_RATE
from training.logmel import LogMel
from training.model import Whisper
from training.tokenizer import MAX_LENGTH, TIMESTAMP_STEP_MS, Vocabulary

WINDOW_SAMPLES = 30 * SAMPLE_RATE
MAX_NEW_TOKENS = MAX_LENGTH // 2
NO_SPEECH_THRESHOLD, LOG_PROBABILITY_THRESHOLD = 0.6, -1.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model says about one window; times are (start, end) of its sentences."""

    text: str
    tokens: list[int]
    times_ms: list[tuple[int, int]]
    no_speech_probability: float
    mean_log_probability: float

    @property
    def is_silence(self) -> bool:
        """Whisper's rule: likely no speech, and the text is not trusted either."""
        return (
            self.no_speech_probability > NO_SPEECH_THRESHOLD and self.mean_log_probability < LOG_PROBABILITY_THRESHOLD
        )


def padded_windows(pcms: list[NDArray[np.float32]]) -> Tensor:
    """Waves of up to 30 s as (batch, WINDOW_SAMPLES) float32."""
    out = torch.zeros(len(pcms), WINDOW_SAMPLES)
    for row, pcm in enumerate(pcms):
        out[row, : len(pcm)] = torch.from_numpy(pcm[:WINDOW_SAMPLES])
    return out


def forbid(logits: Tensor, said: list[int], vocabulary: Vocabulary, with_timestamps: bool) -> None:
    """Set forbidden tokens of one row to -inf in place, by the rules of openai/whisper's decoding.py."""
    first, never = vocabulary.first_timestamp, float("-inf")
    logits[vocabulary.end + 1 : first] = never
    if not said:
        logits[[vocabulary.space, vocabulary.end]] = never
    if not with_timestamps:
        logits[first:] = never
        return
    last_is_time = bool(said) and said[-1] >= first
    if last_is_time and (len(said) < 2 or said[-2] >= first):
        logits[first:] = never
    elif last_is_time:
        logits[: vocabulary.end] = never
    times = [token for token in said if token >= first]
    if times:
        is_pair_open = last_is_time and len(said) >= 2 and said[-2] < first
        logits[first : times[-1] + (0 if is_pair_open else 1)] = never
    if not said:
        logits[:first] = never
    log_probs = log_softmax(logits, dim=-1)
    if log_probs[first:].logsumexp(0) > log_probs[:first].max():
        logits[:first] = never


def sentence_times(tokens: list[int], vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """(start, end) in ms of each sentence that has both its timestamps."""
    times: list[tuple[int, int]] = []
    start: int | None = None
    has_text = False
    for token in tokens:
        if token < vocabulary.end:
            has_text = True
        elif token >= vocabulary.first_timestamp:
            time_ms = (token - vocabulary.first_timestamp) * TIMESTAMP_STEP_MS
            if start is not None and has_text:
                times.append((start, time_ms))
                start, has_text = None, False
            else:
                start, has_text = time_ms, False
    return times


class Transcriber:
    """A model ready to decode batches of windows."""

    def __init__(self, model: Whisper, vocabulary: Vocabulary) -> None:
        self._model, self._vocabulary = model.eval(), vocabulary
        self._device = next(model.parameters()).device
        self._log_mel = LogMel(self._device)

    @torch.inference_mode()
    def transcripts(self, pcms: list[NDArray[np.float32]], with_timestamps: bool = True) -> list[Heard]:
        """Decode waves of up to 30 s each, all at once, at temperature 0."""
        vocabulary, decoder = self._vocabulary, self._model.model.decoder
        audio = self._model.model.encoder(self._log_mel(padded_windows(pcms).to(self._device)))
        table, caches = self._model.embeddings(), decoder.caches(audio)
        start = torch.full((len(pcms), 1), vocabulary.start, device=self._device)
        logits = decoder.extend(embedding(start, table), caches, 0)[:, -1] @ table.T
        silence = logits.softmax(-1)[:, vocabulary.no_speech].tolist()
        position = 1
        if not with_timestamps:
            plain = torch.full_like(start, vocabulary.no_timestamps)
            logits, position = decoder.extend(embedding(plain, table), caches, 1)[:, -1] @ table.T, 2
        said: list[list[int]] = [[] for _ in pcms]
        scores = np.zeros(len(pcms))
        is_done = [False] * len(pcms)
        while not all(is_done) and len(max(said, key=len)) < MAX_NEW_TOKENS:
            for row, tokens in enumerate(said):
                if not is_done[row]:
                    forbid(logits[row], tokens, vocabulary, with_timestamps)
            best = logits.argmax(-1)
            chances = log_softmax(logits, dim=-1).gather(1, best[:, None])[:, 0].tolist()
            for row, token in enumerate(best.tolist()):
                if not is_done[row]:
                    scores[row] += chances[row]
                    is_done[row] = token == vocabulary.end
                    said[row] += [] if is_done[row] else [token]
            logits = decoder.extend(embedding(best[:, None], table), caches, position)[:, -1] @ table.T
            position += 1
        return [
            Heard(
                vocabulary.text(tokens).strip(),
                tokens,
                sentence_times(tokens, vocabulary),
                silence[row],
                float(scores[row] / (len(tokens) + 1)),
            )
            for row, tokens in enumerate(said)
        ]
