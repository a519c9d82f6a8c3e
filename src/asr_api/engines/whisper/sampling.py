"""Greedy and temperature sampling of the next token of each row, reproducible: RNGs are seeded by content.

The same audio with the same prompt gives the same samples at the same temperature, whatever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.whisper.arrays import Floats, Integers
from asr_api.engines.whisper.logit_filters import log_sum_exp
from asr_api.pcm import Pcm


@dataclass(frozen=True, slots=True, eq=False)
class NextTokens:
    """logprobs: among the tokens that passed the filters, at temperature 1; not finite where the logits were not"""

    tokens: Integers  # (rows,)
    logprobs: Floats  # (rows,)


def greedy(logits: Floats) -> NextTokens:
    """logits: (rows, n_vocab) float32 after the filters"""
    return _with_logprobs(logits, logits.argmax(axis=1))


def sample(logits: Floats, temperatures: Sequence[float], uniforms: Sequence[float]) -> NextTokens:
    """From softmax(logits / temperature): the cumulative distribution, inverted at a number in [0, 1) for each row."""
    tokens = [_sample_row(*row) for row in zip(logits, temperatures, uniforms, strict=True)]
    return _with_logprobs(logits, np.array(tokens, np.int64))


def sample_rngs(pcm: Pcm, prompt: Sequence[int], temperature: float, num: int) -> list[np.random.Generator]:
    """One for each sample of a window; the seed is a hash of PCM, prompt, temperature and sample index."""
    from hashlib import blake2b  # imported here: it loads 4 MB of OpenSSL, and few windows are sampled

    content = blake2b(np.ascontiguousarray(pcm).data, digest_size=16)
    content.update(np.array([*prompt, round(temperature * 1_000_000)], np.int64).tobytes())
    generators = []
    for index in range(num):
        seed = content.copy()
        seed.update(index.to_bytes(8, "little"))
        generators.append(np.random.default_rng(int.from_bytes(seed.digest(), "little")))
    return generators


def _with_logprobs(logits: Floats, tokens: NDArray[np.intp] | Integers) -> NextTokens:
    chosen = logits[np.arange(len(logits)), tokens]
    with np.errstate(invalid="ignore"):
        return NextTokens(np.asarray(tokens, np.int64), chosen - log_sum_exp(logits))


def _sample_row(logits: Floats, temperature: float, uniform: float) -> int:
    with np.errstate(invalid="ignore"):
        scaled = (logits - logits.max()).astype(np.float64) / temperature
    cumulative = np.cumsum(np.exp(scaled))
    # Rounding must not lead past the last token with a probability above 0.
    last = np.searchsorted(cumulative, cumulative[-1])
    return int(min(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"), last, len(logits) - 1))
