"""Quality of a decoded window: no-speech decision and doubts by OpenAI's thresholds, and loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from asr_api.text.compression import compression_ratio
from asr_api.transcript import Doubt, Quality

NO_SPEECH_THRESHOLD = 0.6
LOGPROB_THRESHOLD = -1.0
COMPRESSION_THRESHOLD = 2.4
# Text below it is doubtful, though it is not decoded again. Measured: of 23 English clips (whisper-tiny.en) and 56
# clips in ten languages (base) no right text is below -0.75; whisper-tiny.en's for 36 others is always below -0.9.
UNSURE_THRESHOLD = -0.8
# A loop repeats at most LOOP_PERIOD_TOKENS tokens, at least LOOP_REPEATS times and over at least LOOP_TOKENS tokens. A
# refrain of four lines also exceeds the compression threshold; twenty times "no" and the digits of a card are no loop.
LOOP_PERIOD_TOKENS = 16
LOOP_REPEATS = 4
LOOP_TOKENS = 32
LOOP_CHECK_TOKENS = 8  # the check runs each time so many tokens were sampled


def ends_in_loop(tokens: Sequence[int]) -> bool:
    """True when the last tokens repeat the same few tokens. tokens: of text, without timestamps"""
    for period in range(1, LOOP_PERIOD_TOKENS + 1):
        num_looping = max(LOOP_TOKENS, period * LOOP_REPEATS)
        if len(tokens) >= num_looping and tokens[-num_looping + period :] == tokens[-num_looping:-period]:
            return True
    return False


def has_loop(tokens: Sequence[int]) -> bool:
    """True when the tokens end in a loop, or did at an earlier check. tokens: of text, without timestamps"""
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
    """is_whole: False where the decoding was broken off, so that text may be missing"""
    ratio = compression_ratio(text.strip())
    doubts: list[Doubt] = []
    # Both must hold, as in OpenAI's transcribe. A high no-speech probability alone is not enough: models trained on
    # noisy captions give 0.99 to clear speech after music, and a lost sentence is worse than an invented one.
    if no_speech_probability > NO_SPEECH_THRESHOLD and mean_logprob < LOGPROB_THRESHOLD:
        doubts.append("no_speech")
    else:
        if is_loop or ratio > COMPRESSION_THRESHOLD:
            doubts.append("repetition")
        if mean_logprob < LOGPROB_THRESHOLD or not is_whole:
            doubts.append("low_confidence")
    return Quality(temperature, mean_logprob, ratio, no_speech_probability, tuple(doubts))


def doubted_if_unsure(quality: Quality) -> Quality:
    """With `low_confidence` for text that passed every test, but to which the model itself gives a low probability."""
    if quality.doubts or quality.mean_logprob is None or quality.mean_logprob >= UNSURE_THRESHOLD:
        return quality
    return replace(quality, doubts=("low_confidence",))
