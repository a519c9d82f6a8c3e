"""What a client asks for → the tokens a window starts with, and what the decoder's first answer tells.

In go options and the logits at <|startoftranscript|>, out come prompts, languages and the probability that nobody
speaks. Knows nothing about audio, batches or how logits come about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.logit_filters import Floats, log_sum_exp
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.text.languages import language_code
from asr_api.transcript import LanguageGuess

NUM_GUESSES = 5


@dataclass(frozen=True, slots=True)
class Prompt:
    """The start of a window, in two parts, for the language may be known only after the first.

    head:      earlier text if any, and at the end <|startoftranscript|>
    language:  code; None while it is to be detected
    languages: the codes among which it is detected
    tail:      language, task and <|notimestamps|>, as far as the model has them and they are wanted; empty while the
               language is to be detected
    """

    head: tuple[int, ...]
    language: str | None
    languages: tuple[str, ...]
    tail: tuple[int, ...]

    @property
    def tokens(self) -> tuple[int, ...]:
        return self.head + self.tail


@dataclass(frozen=True, slots=True)
class FedText:
    """A window's text as it is fed to see to what it attends. first: index of <|notimestamps|>; text follows it"""

    tokens: tuple[int, ...]
    first: int


class Prompter:
    """The prompts of one checkpoint."""

    def __init__(self, config: WhisperConfig, tokenizer: Tokenizer) -> None:
        """Raises CheckpointError when the tokenizer is another model's."""
        if tokenizer.timestamp_begin >= config.n_vocab or (config.is_multilingual and not tokenizer.languages):
            raise CheckpointError(
                f"The checkpoint's tokenizer has {len(tokenizer.languages)} languages and timestamps from "
                f"{tokenizer.timestamp_begin} on, which do not fit its vocabulary of {config.n_vocab}; "
                "fetch the checkpoint again, whole."
            )
        self._spec = config
        self._tokenizer = tokenizer

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self._tokenizer.languages) if self._spec.is_multilingual else ("en",)

    def prompt(self, options: DecodeOptions) -> Prompt:
        """Raises InvalidParameter for what the checkpoint cannot do."""
        if options.task == "translate" and (self._tokenizer.translate is None or not self._spec.is_multilingual):
            raise InvalidParameter("task is translate, and this model is English-only; use transcribe.")
        head = (*self._earlier(options), self._tokenizer.start)
        language, languages = self._language(options)
        return Prompt(head, language, languages, () if language is None else self._tail(language, options))

    def detected(self, prompt: Prompt, guesses: Sequence[LanguageGuess], options: DecodeOptions) -> Prompt:
        """The whole prompt, once the language is known."""
        language = guesses[0].code
        return Prompt(prompt.head, language, prompt.languages, self._tail(language, options))

    def guesses(self, logits: Floats, languages: Sequence[str]) -> tuple[LanguageGuess, ...]:
        """The greedy of `languages`, best first. logits: (n_vocab,) at <|startoftranscript|>, before any rule"""
        scores = np.nan_to_num(logits[[self._tokenizer.languages[code] for code in languages]])
        probabilities = np.exp(scores - log_sum_exp(scores[None])[0])
        best = np.argsort(-scores, kind="stable")[:NUM_GUESSES]
        return tuple(LanguageGuess(languages[index], float(probabilities[index])) for index in best)

    def no_speech_probability(self, logits: Floats) -> float:
        """logits: (n_vocab,) at <|startoftranscript|>, before any rule"""
        with np.errstate(invalid="ignore"):
            logprob = logits[self._tokenizer.no_speech] - log_sum_exp(logits[None])[0]
        return float(np.nan_to_num(np.exp(logprob)))

    def fed_text(self, prompt: Prompt, text: Sequence[int]) -> FedText:
        """text: text tokens of the window. The end follows them where the decoder has a position left for it."""
        start = prompt.head[-1:] + tuple(token for token in prompt.tail if token != self._tokenizer.no_timestamps)
        tokens = (*start, self._tokenizer.no_timestamps, *text, self._tokenizer.end)
        return FedText(tokens[: self._spec.n_text_ctx], len(start))

    def _language(self, options: DecodeOptions) -> tuple[str | None, tuple[str, ...]]:
        """The language that is used, or None and those among which it is detected."""
        named = tuple(dict.fromkeys(language_code(name) for name in options.languages))
        given = None if options.language is None else language_code(options.language)
        for parameter, code in [("language", given), *(("languages", code) for code in named)]:
            if code is not None and code not in self.languages:
                raise InvalidParameter(
                    f"{parameter} is {code}, which this model does not know; it knows {', '.join(self.languages)}."
                )
        candidates = named or ((self._spec.language,) if self._spec.language else self.languages)
        if given is None and len(candidates) == 1:
            given = candidates[0]
        return given, () if given is not None else candidates

    def _tail(self, language: str, options: DecodeOptions) -> tuple[int, ...]:
        tokenizer = self._tokenizer
        tail: list[int | None] = []
        if self._spec.is_multilingual:
            task = tokenizer.translate if options.task == "translate" else tokenizer.transcribe
            tail = [tokenizer.languages[language], task]
        if not options.timestamps:
            tail.append(tokenizer.no_timestamps)
        return tuple(token for token in tail if token is not None)

    def _earlier(self, options: DecodeOptions) -> tuple[int, ...]:
        """<|startofprev|>, hotwords and the end of the prompt, at most half of the decoder's positions.

        Hotwords take at most half of that: a long prompt does not push them out, nor they the prompt.
        """
        before = self._tokenizer.start_of_previous
        room = self._spec.n_text_ctx // 2 - 1
        text_before = options.previous_text or options.prompt
        if not text_before.strip() and not options.hotwords.strip():
            return ()
        if before is None:
            raise InvalidParameter("prompt and hotwords need <|startofprev|>, which this model lacks; leave them out.")
        hotwords, prompt = (
            self._tokenizer.encode(f" {text.strip()}") if text.strip() else []
            for text in (options.hotwords, text_before)
        )
        hotwords = hotwords[: room // 2]
        return (before, *hotwords, *prompt[max(0, len(prompt) + len(hotwords) - room) :])
