"""The token that a row goes on with: the greedy, or one sample by chance that is the same every time.

In go logits after the rules, out come tokens with their log-probabilities. Chance is seeded by content: the same audio
with the same prompt says the same at the same temperature, whatever runs beside it. Knows nothing about windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.whisper.logit_filters import Floats, Integers, log_sum_exp
from asr_api.pcm import Pcm


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """tokens: (rows,) ids

    logprobs: (rows,) log-probabilities among what the rules left, at temperature 1 whatever was sample at; not finite
              where the logits were not
    """

    tokens: Integers
    logprobs: Floats


def greedy(logits: Floats) -> Choice:
    """logits: (rows, n_vocab) float32 after the rules"""
    return _choice(logits, logits.argmax(axis=1))


def sample(logits: Floats, temperatures: Sequence[float], uniforms: Sequence[float]) -> Choice:
    """From softmax(logits / temperature), by inverting the cumulative distribution: one number for each token.

    logits:   (rows, n_vocab) float32 after the rules
    uniforms: in [0, 1), one for each row
    """
    tokens = [
        _draw(row, temperature, uniform)
        for row, temperature, uniform in zip(logits, temperatures, uniforms, strict=True)
    ]
    return _choice(logits, np.array(tokens, np.int64))


def sample_rngs(pcm: Pcm, prompt: Sequence[int], temperature: float, num: int) -> list[np.random.Generator]:
    """The chance of so many samples of one window."""
    from hashlib import blake2b  # here, for it brings OpenSSL's 4 MB, and few windows come this far

    content = blake2b(pcm.tobytes(), digest_size=16)
    content.update(np.array([*prompt, round(temperature * 1_000_000)], np.int64).tobytes())
    generators = []
    for index in range(num):
        seed = content.copy()
        seed.update(index.to_bytes(8, "little"))
        generators.append(np.random.default_rng(int.from_bytes(seed.digest(), "little")))
    return generators


def _choice(logits: Floats, tokens: NDArray[np.intp] | Integers) -> Choice:
    chosen = logits[np.arange(len(logits)), tokens]
    with np.errstate(invalid="ignore"):
        return Choice(np.asarray(tokens, np.int64), chosen - log_sum_exp(logits))


def _draw(logits: Floats, temperature: float, uniform: float) -> int:
    with np.errstate(invalid="ignore"):
        scaled = (logits - logits.max()).astype(np.float64) / temperature
    cumulative = np.cumsum(np.exp(scaled))
    # At most the last token that has a probability at all, should rounding lead past it.
    last = np.searchsorted(cumulative, cumulative[-1])
    return int(min(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"), last, len(logits) - 1))
