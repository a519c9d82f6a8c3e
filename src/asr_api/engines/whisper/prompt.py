"""Decoder prompts: special tokens, language, task, previous text and hotwords of a window.

Also reads the logits at <|startoftranscript|>: language probabilities and the no-speech probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr_api.engines.whisper.arrays import Floats
from asr_api.engines.whisper.capabilities import can_translate, supported_languages
from asr_api.engines.whisper.config import POSITION_MS, WhisperConfig
from asr_api.engines.whisper.logit_filters import log_sum_exp
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.text.languages import language_code
from asr_api.transcript import LanguageGuess

NUM_GUESSES = 5


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt of a window in two parts, because a detected language is known only after the first."""

    head: tuple[int, ...]  # previous text if any, then <|startoftranscript|>
    language: str | None  # code; None until it is detected
    languages: tuple[str, ...]  # the codes among which it is detected
    tail: tuple[int, ...]  # language, task and <|notimestamps|> if needed; empty until the language is detected

    @property
    def tokens(self) -> tuple[int, ...]:
        return self.head + self.tail


@dataclass(frozen=True, slots=True)
class AlignmentText:
    tokens: tuple[int, ...]
    first_row: int  # of <|notimestamps|>; the text follows it


class PromptBuilder:
    def __init__(self, config: WhisperConfig, tokenizer: Tokenizer) -> None:
        """Raises CheckpointError when the tokenizer belongs to another model."""
        if tokenizer.kinds.timestamps.start >= config.n_vocab or (config.is_multilingual and not tokenizer.languages):
            raise CheckpointError(
                f"The checkpoint's tokenizer has {len(tokenizer.languages)} languages and timestamps from "
                f"{tokenizer.kinds.timestamps.start} on, which do not fit its vocabulary of {config.n_vocab}; "
                "fetch the checkpoint again, whole."
            )
        self._config = config
        self._tokenizer = tokenizer
        self._languages = supported_languages(config, tokenizer)

    def build(self, options: DecodeOptions) -> Prompt:
        """Raises InvalidParameter for options that the checkpoint does not support."""
        if options.task == "translate" and not can_translate(self._config, self._tokenizer):
            raise InvalidParameter("task is translate, and this model is English-only; use transcribe.")
        head = (*self._previous_text(options), self._tokenizer.start)
        language, languages = self._language(options)
        return Prompt(head, language, languages, () if language is None else self._tail(language, options))

    def with_language(self, prompt: Prompt, guesses: Sequence[LanguageGuess], options: DecodeOptions) -> Prompt:
        """The whole prompt, once the language is known."""
        language = guesses[0].code
        return replace(prompt, language=language, tail=self._tail(language, options))

    def guesses(self, logits: Floats, languages: Sequence[str]) -> tuple[LanguageGuess, ...]:
        """The likeliest of `languages`, best first. logits: (n_vocab,) at <|startoftranscript|>, unfiltered"""
        scores = np.nan_to_num(logits[[self._tokenizer.languages[code] for code in languages]])
        probabilities = np.exp(scores - log_sum_exp(scores[None])[0])
        best = np.argsort(-scores, kind="stable")[:NUM_GUESSES]
        return tuple(LanguageGuess(languages[index], float(probabilities[index])) for index in best)

    def no_speech_probability(self, logits: Floats) -> float:
        """logits: (n_vocab,) at <|startoftranscript|>, unfiltered"""
        with np.errstate(invalid="ignore"):
            logprob = logits[self._tokenizer.no_speech] - log_sum_exp(logits[None])[0]
        return float(np.nan_to_num(np.exp(logprob)))

    def alignment_text(self, prompt: Prompt, text: Sequence[int]) -> AlignmentText:
        """text: text tokens of the window. The end token follows them if the decoder has a position left for it."""
        start = prompt.head[-1:] + tuple(token for token in prompt.tail if token != self._tokenizer.no_timestamps)
        tokens = (*start, self._tokenizer.no_timestamps, *text, self._tokenizer.end)
        return AlignmentText(tokens[: self._config.n_text_ctx], len(start))

    def _language(self, options: DecodeOptions) -> tuple[str | None, tuple[str, ...]]:
        """The language to use; or None, and the languages among which it is detected."""
        named = tuple(dict.fromkeys(language_code(name) for name in options.languages))
        given = None if options.language is None else language_code(options.language)
        for parameter, code in [("language", given), *(("languages", code) for code in named)]:
            if code is not None and code not in self._languages:
                raise InvalidParameter(
                    f"{parameter} is {code}, which this model does not support; it supports "
                    f"{', '.join(self._languages)}."
                )
        candidates = named or ((self._config.language,) if self._config.language else self._languages)
        if given is None and len(candidates) == 1:
            given = candidates[0]
        return given, () if given is not None else candidates

    def _tail(self, language: str, options: DecodeOptions) -> tuple[int, ...]:
        tokenizer = self._tokenizer
        task = tokenizer.translate if options.task == "translate" else tokenizer.transcribe
        before = [tokenizer.languages[language], task] if self._config.is_multilingual else []
        after = [] if options.timestamps else [tokenizer.no_timestamps]
        return tuple(token for token in (*before, *after) if token is not None)

    def _previous_text(self, options: DecodeOptions) -> tuple[int, ...]:
        """<|startofprev|>, hotwords and the end of the previous text, at most half of the decoder's positions.

        Hotwords take at most half of that, so neither hotwords nor a long text push the other out. A model without
        <|startofprev|> ignores the segments of the windows before, which no client asked for.
        """
        start_of_previous = self._tokenizer.start_of_previous
        max_tokens = self._config.n_text_ctx // 2 - 1
        if start_of_previous is None and (options.prompt.strip() or options.hotwords.strip()):
            raise InvalidParameter("prompt and hotwords need <|startofprev|>, which this model lacks; leave them out.")
        hotwords, prompt = (
            self._tokenizer.encode(f" {part.strip()}") if part.strip() else []
            for part in (options.hotwords, options.prompt)
        )
        hotwords = hotwords[: max_tokens // 2]
        previous = self._previous_tokens(options) or prompt
        if start_of_previous is None or not (hotwords or previous):
            return ()
        return (start_of_previous, *hotwords, *previous[max(0, len(previous) + len(hotwords) - max_tokens) :])

    def _previous_tokens(self, options: DecodeOptions) -> list[int]:
        """As the model wrote them, with timestamps where the window has some: so it goes on writing them."""
        tokens: list[int] = []
        timestamps = self._tokenizer.kinds.timestamps
        for segment in options.previous_segments:
            if not segment.tokens:  # only a part of its text was kept
                continue
            start, end = (
                timestamps[min(time_ms // POSITION_MS, len(timestamps) - 1)]
                for time_ms in (segment.start_ms, segment.end_ms)
            )
            tokens += (start, *segment.tokens, end) if options.timestamps else segment.tokens
        return tokens
