"""Is what a pass over a window wrote worth keeping? By OpenAI's definitions and thresholds, and one test of our own.

In go the numbers of a pass and its text, out comes a verdict. Knows nothing about where the numbers come from.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from asr_api.transcript import Doubt, Quality

NO_SPEECH_THRESHOLD = 0.6
LOGPROB_THRESHOLD = -1.0
COMPRESSION_THRESHOLD = 2.4
# A loop: the same tokens, at most so many, so often in a row and for so long. A refrain of four lines is one for the
# compression ratio, too; twenty times "no" and the digits of a card are none.
LOOP_PERIOD_TOKENS = 16
LOOP_REPEATS = 4
LOOP_TOKENS = 32
LOOP_CHECK_TOKENS = 8  # it is looked for each time so many were written


def is_no_speech(no_speech_probability: float, mean_logprob: float) -> bool:
    """True when a window says nothing and its text is an invention.

    Both must hold, as in OpenAI's transcribe: the model expected silence, and it was unsure of what it wrote. The
    probability alone is not enough however high it is: models trained on noisy captions give 0.99 to clear speech
    after music, and a lost sentence is worse than an invented one.
    """
    return no_speech_probability > NO_SPEECH_THRESHOLD and mean_logprob < LOGPROB_THRESHOLD


def compression_ratio(text: str) -> float:
    """Bytes of the text per byte of its zlib compression; 0 for no text."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded))


def ends_in_loop(tokens: Sequence[int]) -> bool:
    """True when the last tokens are a few tokens over and over. tokens: of text, without stamps"""
    for period in range(1, LOOP_PERIOD_TOKENS + 1):
        num_looping = max(LOOP_TOKENS, period * LOOP_REPEATS)
        if len(tokens) >= num_looping and tokens[-num_looping + period :] == tokens[-num_looping:-period]:
            return True
    return False


def has_loop(tokens: Sequence[int]) -> bool:
    """True when they end in a loop, or did earlier. tokens: of text, without stamps"""
    sizes = range(LOOP_TOKENS, len(tokens) + LOOP_CHECK_TOKENS, LOOP_CHECK_TOKENS)
    return any(ends_in_loop(tokens[:size]) for size in sizes)


def quality_of(
    text: str,
    *,
    mean_logprob: float,
    no_speech_probability: float,
    temperature: float = 0.0,
    is_loop: bool = False,
    is_whole: bool = True,
) -> Quality:
    """The numbers of a pass, and its doubts: none where it passed every test.

    is_whole: False where it was broken off, so that text may be missing
    """
    ratio = compression_ratio(text.strip())
    doubts: list[Doubt] = []
    if is_no_speech(no_speech_probability, mean_logprob):
        doubts.append("no_speech")
    else:
        if is_loop or ratio > COMPRESSION_THRESHOLD:
            doubts.append("repetition")
        if mean_logprob < LOGPROB_THRESHOLD or not is_whole:
            doubts.append("low_confidence")
    return Quality(temperature, mean_logprob, ratio, no_speech_probability, tuple(doubts))


def needs_retry(quality: Quality) -> bool:
    """True when another temperature may do better; a window where nobody speaks is done."""
    return bool(quality.doubts) and "no_speech" not in quality.doubts
