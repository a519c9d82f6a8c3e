"""Whisper model dimensions and generation settings, read from config.json and generation_config.json.

Every Whisper shape (80 or 128 mel bands, any depth, turbo, distil, English-only) differs in these numbers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from asr_api.engines.checkpoints.checkpoint import Checkpoint
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.text.languages import language_code

POSITION_MS = 20  # one encoder position, and one timestamp step
# In positions: a window's first timestamp is at most 1.0 s. OpenAI's default, for checkpoints without the setting.
MAX_INITIAL_TIMESTAMP = 50
LAYER_NORM_EPSILON = 1e-5
# OpenAI's rule for checkpoints without is_multilingual: multilingual from this size of the vocabulary on.
MULTILINGUAL_VOCABULARY = 51_865

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WhisperConfig:
    """Dimensions, as in the paper's table 1, and settings of decoding from generation_config.json.

    n_audio_ctx:            encoder positions of 20 ms in a window, 1500 for 30 s
    n_text_ctx:             positions a decoder has for prompt and tokens together, 448
    is_tied:                the output projection is the token embedding
    suppress_tokens:        never sampled
    begin_suppress_tokens:  not sampled first
    max_initial_timestamp:  latest first timestamp of a window, in positions
    alignment_heads:        (layer, head) in the decoder whose cross-attention follows the words in time, at least one
    language:               language of a fine-tuned checkpoint; used unless a request names another
    """

    n_mels: int
    n_state: int
    n_vocab: int
    n_audio_ctx: int
    n_audio_head: int
    n_audio_layer: int
    n_audio_hidden: int
    n_text_ctx: int
    n_text_head: int
    n_text_layer: int
    n_text_hidden: int
    is_tied: bool
    is_multilingual: bool
    language: str | None
    suppress_tokens: tuple[int, ...]
    begin_suppress_tokens: tuple[int, ...]
    max_initial_timestamp: int
    alignment_heads: tuple[tuple[int, int], ...]

    @property
    def n_frames(self) -> int:
        """Log-mel columns of a window; the second convolution halves them."""
        return 2 * self.n_audio_ctx

    @property
    def window_s(self) -> float:
        return self.n_audio_ctx * POSITION_MS / 1000


def read_whisper_config(checkpoint: Checkpoint) -> WhisperConfig:
    """Raises CheckpointError when the checkpoint is not a Whisper model, or one that is not supported."""
    config_json, generation_config = checkpoint.config, checkpoint.generation_config
    if checkpoint.model_type != "whisper":
        raise CheckpointError(
            f"The checkpoint is of type {checkpoint.model_type!r}, and this engine runs only Whisper models; "
            "choose a Whisper checkpoint as MODEL_ID."
        )
    if config_json.get("activation_function", "gelu") != "gelu":
        raise CheckpointError(
            f"The checkpoint needs the activation {config_json['activation_function']!r}, and this engine has only "
            "gelu; choose another checkpoint as MODEL_ID."
        )
    n_vocab = _read(config_json, "vocab_size", int)
    return WhisperConfig(
        n_mels=_read(config_json, "num_mel_bins", int),
        n_state=_read(config_json, "d_model", int),
        n_vocab=n_vocab,
        n_audio_ctx=_read(config_json, "max_source_positions", int),
        n_audio_head=_read_heads(config_json, "encoder_attention_heads"),
        n_audio_layer=_read(config_json, "encoder_layers", int),
        n_audio_hidden=_read(config_json, "encoder_ffn_dim", int),
        n_text_ctx=_read(config_json, "max_target_positions", int),
        n_text_head=_read_heads(config_json, "decoder_attention_heads"),
        n_text_layer=_read(config_json, "decoder_layers", int),
        n_text_hidden=_read(config_json, "decoder_ffn_dim", int),
        is_tied=_read(config_json, "tie_word_embeddings", bool, True),
        is_multilingual=_read(generation_config, "is_multilingual", bool, n_vocab >= MULTILINGUAL_VOCABULARY),
        language=_read_language(generation_config),
        suppress_tokens=_read_ids(generation_config, config_json, "suppress_tokens"),
        begin_suppress_tokens=_read_ids(generation_config, config_json, "begin_suppress_tokens"),
        max_initial_timestamp=_read(generation_config, "max_initial_timestamp_index", int, MAX_INITIAL_TIMESTAMP),
        alignment_heads=_read_alignment_heads(generation_config, config_json),
    )


def _read(config_json: dict[str, object], key: str, kind: type[T], default: T | None = None) -> T:
    value = config_json.get(key)
    if value is None and default is not None:
        return default
    # In Python True is an int as well.
    if not isinstance(value, kind) or (kind is int and (value is True or not 0 < int(str(value)) < 2**31)):
        raise CheckpointError(
            f"The checkpoint's {key} is {value!r}, not a positive {kind.__name__}; fetch the checkpoint again."
        )
    return value


def _read_heads(config_json: dict[str, object], key: str) -> int:
    n_head, n_state = _read(config_json, key, int), _read(config_json, "d_model", int)
    if n_state % n_head:
        raise CheckpointError(
            f"The checkpoint's d_model {n_state} cannot be shared by {key} {n_head}; fetch the checkpoint again."
        )
    return n_head


def _read_language(generation_config: dict[str, object]) -> str | None:
    """Written as a name, a code or a token: hindi, hi or <|hi|>."""
    value = generation_config.get("language")
    try:
        return None if value is None else language_code(str(value).strip("<|>"))
    except InvalidParameter as error:
        raise CheckpointError(
            f"The checkpoint's generation_config.json names the language {value!r}, for which Whisper has no token; "
            "correct or remove its language."
        ) from error


def _read_ids(generation_config: dict[str, object], config_json: dict[str, object], key: str) -> tuple[int, ...]:
    """Older checkpoints have their suppressed tokens in config.json; null means none."""
    value = generation_config.get(key, config_json.get(key)) or []
    if not isinstance(value, list) or not all(isinstance(token, int) for token in value):
        raise CheckpointError(f"The checkpoint's {key} is not a list of token ids; fetch the checkpoint again.")
    n_vocab = _read(config_json, "vocab_size", int)
    return tuple(token for token in value if 0 <= token < n_vocab)


def _read_alignment_heads(
    generation_config: dict[str, object], config_json: dict[str, object]
) -> tuple[tuple[int, int], ...]:
    """Sorted. Without the setting, OpenAI's default: every head of the upper half of the layers."""
    n_layer, n_head = _read(config_json, "decoder_layers", int), _read(config_json, "decoder_attention_heads", int)
    all_heads = list(product(range(n_layer), range(n_head)))
    value = generation_config.get("alignment_heads")
    if not value:
        return tuple((layer, head) for layer, head in all_heads if layer >= n_layer // 2)
    pairs = value if isinstance(value, list) else [value]
    heads = tuple((layer, head) for layer, head in all_heads if [layer, head] in pairs)
    if len(heads) != len(pairs):
        raise CheckpointError(
            f"The checkpoint's alignment_heads are {str(value)[:80]}, not pairs below {n_layer} layers and {n_head} "
            "heads; correct or remove them in generation_config.json."
        )
    return heads
