"""Whisper model dimensions and generation settings, read from config.json and generation_config.json.

Every Whisper shape (80 or 128 mel bands, any depth, turbo, distil, English-only) differs in these numbers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from reprlib import repr as short_repr  # values of a checkpoint may be of any size

from asr_api.engines.checkpoints.checkpoint import Checkpoint
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.text.languages import language_code

POSITION_MS = 20  # one encoder position, and one timestamp step
# In positions: a window's first timestamp is at most 1.0 s. OpenAI's default, for checkpoints without the setting.
MAX_INITIAL_TIMESTAMP = 50
LAYER_NORM_EPSILON = 1e-5
# OpenAI's rule for checkpoints without is_multilingual: multilingual from this size of the vocabulary on.
MULTILINGUAL_VOCABULARY = 51_865
MAX_DIMENSION = 2**31 - 1
MAX_LAYERS = 1000  # and heads of a layer; the largest checkpoint has 32 and 20. Lists of them must fit into memory


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
    notes:                  lines to print at start, about settings that cannot be used
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
    notes: tuple[str, ...]

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
            f"The checkpoint is of type {short_repr(checkpoint.model_type)}, and this engine runs only Whisper models; "
            "choose a Whisper checkpoint as MODEL_ID."
        )
    if config_json.get("activation_function", "gelu") != "gelu":
        raise CheckpointError(
            f"The checkpoint needs the activation {short_repr(config_json['activation_function'])}, and this engine "
            "has only gelu; choose another checkpoint as MODEL_ID."
        )
    n_vocab = _read_int(config_json, "vocab_size")
    alignment_heads, notes = _read_alignment_heads(generation_config, config_json)
    return WhisperConfig(
        n_mels=_read_int(config_json, "num_mel_bins"),
        n_state=_read_int(config_json, "d_model"),
        n_vocab=n_vocab,
        n_audio_ctx=_read_int(config_json, "max_source_positions"),
        n_audio_head=_read_heads(config_json, "encoder_attention_heads"),
        n_audio_layer=_read_int(config_json, "encoder_layers", limit=MAX_LAYERS),
        n_audio_hidden=_read_int(config_json, "encoder_ffn_dim"),
        n_text_ctx=_read_int(config_json, "max_target_positions"),
        n_text_head=_read_heads(config_json, "decoder_attention_heads"),
        n_text_layer=_read_int(config_json, "decoder_layers", limit=MAX_LAYERS),
        n_text_hidden=_read_int(config_json, "decoder_ffn_dim"),
        is_tied=_read_bool(config_json, "tie_word_embeddings", True),
        is_multilingual=_read_bool(generation_config, "is_multilingual", n_vocab >= MULTILINGUAL_VOCABULARY),
        language=_read_language(generation_config),
        suppress_tokens=_read_ids(generation_config, config_json, "suppress_tokens"),
        begin_suppress_tokens=_read_ids(generation_config, config_json, "begin_suppress_tokens"),
        max_initial_timestamp=_read_int(generation_config, "max_initial_timestamp_index", MAX_INITIAL_TIMESTAMP),
        alignment_heads=alignment_heads,
        notes=notes,
    )


def _read_int(config_json: dict[str, object], key: str, default: int | None = None, limit: int = MAX_DIMENSION) -> int:
    """default: only generation_config.json may lack a number"""
    value = config_json.get(key)
    if value is None and default is not None:
        return default
    if type(value) is not int or not 0 < value <= limit:  # in Python True is an int as well
        raise CheckpointError(
            f"The checkpoint's {key} is {short_repr(value)}, not a whole number from 1 to {limit}; correct it in "
            f"{'config.json' if default is None else 'generation_config.json'}, or fetch the checkpoint again."
        )
    return value


def _read_bool(config_json: dict[str, object], key: str, default: bool) -> bool:
    value = config_json.get(key)
    if not isinstance(value, bool | None):
        raise CheckpointError(
            f"The checkpoint's {key} is {short_repr(value)}, not true or false; correct it in config.json or "
            "generation_config.json, or fetch the checkpoint again."
        )
    return default if value is None else value


def _read_heads(config_json: dict[str, object], key: str) -> int:
    n_head, n_state = _read_int(config_json, key, limit=MAX_LAYERS), _read_int(config_json, "d_model")
    if n_state % n_head:
        raise CheckpointError(
            f"The checkpoint's d_model {n_state} cannot be shared by {key} {n_head}; correct them in config.json, or "
            "fetch the checkpoint again."
        )
    return n_head


def _read_language(generation_config: dict[str, object]) -> str | None:
    """Written as a name, a code or a token: hindi, hi or <|hi|>."""
    value = generation_config.get("language")
    try:
        return None if value is None else language_code(str(value).strip("<|>"))
    except InvalidParameter as error:
        raise CheckpointError(
            f"The checkpoint's generation_config.json names the language {short_repr(value)}, for which Whisper has no "
            "token; correct or remove its language."
        ) from error


def _read_ids(generation_config: dict[str, object], config_json: dict[str, object], key: str) -> tuple[int, ...]:
    """Older checkpoints have their suppressed tokens in config.json; null means none."""
    value = generation_config.get(key, config_json.get(key)) or []
    if not isinstance(value, list) or not all(isinstance(token, int) for token in value):
        raise CheckpointError(
            f"The checkpoint's {key} is not a list of token ids; correct it in generation_config.json or config.json, "
            "or fetch the checkpoint again."
        )
    n_vocab = _read_int(config_json, "vocab_size")
    return tuple(token for token in value if 0 <= token < n_vocab)


def _read_alignment_heads(
    generation_config: dict[str, object], config_json: dict[str, object]
) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...]]:
    """Sorted, and notes. Without the setting, OpenAI's default: every head of the upper half of the layers.

    The default also replaces heads that the decoder does not have. Distilled checkpoints ship those of their teacher,
    and a head that exists in both means nothing in the student.
    """
    n_layer = _read_int(config_json, "decoder_layers", limit=MAX_LAYERS)
    n_head = _read_heads(config_json, "decoder_attention_heads")
    usual = tuple(product(range(n_layer // 2, n_layer), range(n_head)))
    value = generation_config.get("alignment_heads")
    if not value:
        return usual, ()
    if not isinstance(value, list) or not all(map(_is_head, value)):
        raise CheckpointError(
            f"The checkpoint's alignment_heads are {short_repr(value)}, not pairs of a layer and a head such as "
            "[3, 0]; correct or remove them in generation_config.json."
        )
    heads = tuple(sorted({(layer, head) for layer, head in value}))
    absent = [[layer, head] for layer, head in heads if layer >= n_layer or head >= n_head]
    if not absent:
        return heads, ()
    note = (
        f"The checkpoint's alignment_heads name heads that its decoder of {n_layer} layers with {n_head} heads does "
        f"not have ({short_repr(absent)}), so word timestamps use all heads of the upper half of the layers instead."
    )
    return usual, (note,)


def _is_head(value: object) -> bool:
    """A layer and a head, present or not. In Python True is an int as well."""
    return isinstance(value, list) and len(value) == 2 and all(type(index) is int and index >= 0 for index in value)
