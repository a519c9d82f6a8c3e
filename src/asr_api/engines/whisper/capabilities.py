"""Capabilities of a Whisper checkpoint: languages, translation, prompts. Fills those of `EngineInfo`."""

from __future__ import annotations

from dataclasses import replace

from asr_api.engines.protocol import EngineInfo
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.tokenizer import Tokenizer

ENGLISH = "en"
ENGLISH_ONLY = "This model knows English only: for speech in another language it invents English text, with doubts."


def with_capabilities(info: EngineInfo, config: WhisperConfig, tokenizer: Tokenizer) -> EngineInfo:
    """The engine's info with the fields that follow from the checkpoint."""
    return replace(
        info,
        window_s=config.window_s,
        languages=supported_languages(config, tokenizer),
        default_language=config.language if config.is_multilingual else ENGLISH,
        can_detect_language=config.is_multilingual and config.language is None,
        can_translate=can_translate(config, tokenizer),
        can_prompt=tokenizer.start_of_previous is not None,
        can_sample=True,
        has_word_timestamps=True,
        has_logprobs=True,
        notes=(*info.notes, *config.notes, *(() if config.is_multilingual else (ENGLISH_ONLY,))),
    )


def supported_languages(config: WhisperConfig, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Codes; the tokenizers of English-only checkpoints also have the tokens of other languages."""
    return tuple(tokenizer.languages) if config.is_multilingual else (ENGLISH,)


def can_translate(config: WhisperConfig, tokenizer: Tokenizer) -> bool:
    return config.is_multilingual and tokenizer.translate is not None
