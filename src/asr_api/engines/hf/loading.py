"""Loads a checkpoint with transformers: model, feature extractor and tokenizer, or an error sentence.

Only JSON, tokenizer files and safetensors are read: no pickle, no code of a checkpoint, no network. transformers reads
the folder itself, so this engine serves no other file format.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase, SequenceFeatureExtractor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CTC_MAPPING_NAMES,
    MODEL_FOR_RNNT_MAPPING_NAMES,
    MODEL_FOR_TDT_MAPPING_NAMES,
)

from asr_api.engines.checkpoints.json_file import read_json
from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.errors import CheckpointError
from asr_api.install_hint import install_command
from asr_api.pcm import SAMPLE_RATE_HZ

logger = logging.getLogger(__name__)

LOCAL = {"trust_remote_code": False, "local_files_only": True}
OTHER = "choose another checkpoint as MODEL_ID"
NO_LANGUAGE_MODEL = "The checkpoint's language model is not used: the text is that of the acoustic model."
TRANSFORMERS = f"transformers {transformers.__version__}"
# The other encoder-decoders of transformers are language models, each of which needs its own kind of prompt.
ENCODER_DECODERS = ("moonshine", "speech-encoder-decoder", "speech_to_text")
UNUSED_WEIGHTS = ("masked_spec_embed",)  # used in training only; some checkpoints lack it


class Kind(Enum):
    """How a model emits tokens: one for each frame, tokens with durations, or one after the other."""

    CTC = auto()
    TRANSDUCER = auto()
    ENCODER_DECODER = auto()


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """The parts of a checkpoint, in float32 on the CPU."""

    kind: Kind
    model_type: str
    model: PreTrainedModel
    extractor: SequenceFeatureExtractor
    tokenizer: PreTrainedTokenizerBase
    is_bfloat16: bool  # the weights were stored in bfloat16, so float16 may be too narrow for them
    has_adapters: bool  # some weights and the vocabulary depend on the language
    notes: tuple[str, ...]  # lines to print at start


def load_model(folder: Path) -> LoadedModel:
    """Raises CheckpointError when the checkpoint cannot transcribe, or cannot be read."""
    transformers.logging.set_verbosity_error()  # no warnings about training; errors are raised
    transformers.logging.disable_progress_bar()
    checkpoint = open_checkpoint(folder)
    config, model_type = checkpoint.config, checkpoint.model_type
    kind = _kind_of(model_type, has_code="auto_map" in config)
    has_language_model = (folder / "alphabet.json").is_file() or _names_language_model(folder)
    model = _load_weights(folder, kind, model_type)
    with _explain_errors(model_type, "preprocessor_config.json"):
        extractor = transformers.AutoFeatureExtractor.from_pretrained(folder, **LOCAL)
    with _explain_errors(model_type, "tokenizer"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
    if extractor.sampling_rate != SAMPLE_RATE_HZ:
        raise CheckpointError(
            f"The checkpoint of type {model_type!r} needs audio of {extractor.sampling_rate} Hz, and this server "
            f"provides {SAMPLE_RATE_HZ} Hz; {OTHER}."
        )
    return LoadedModel(
        kind,
        model_type,
        model.eval(),
        extractor,
        tokenizer,
        is_bfloat16="bfloat16" in (config.get("dtype"), config.get("torch_dtype")),
        has_adapters=getattr(model.config, "adapter_attn_dim", None) is not None,
        notes=(NO_LANGUAGE_MODEL,) if has_language_model else (),
    )


def choose_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _kind_of(model_type: str, *, has_code: bool) -> Kind:
    if model_type not in CONFIG_MAPPING_NAMES:
        if has_code:
            raise CheckpointError(
                f"The checkpoint of type {model_type!r} needs code from its repository, which this server never runs; "
                f"{OTHER}."
            )
        raise CheckpointError(
            f"The checkpoint is of type {model_type!r}, which {TRANSFORMERS} does not know; update it with "
            f"{install_command('hf', '--upgrade', '--upgrade-strategy=eager')}, or {OTHER}."
        )
    if model_type in MODEL_FOR_CTC_MAPPING_NAMES:
        return Kind.CTC
    if model_type in MODEL_FOR_TDT_MAPPING_NAMES or model_type in MODEL_FOR_RNNT_MAPPING_NAMES:
        return Kind.TRANSDUCER
    if model_type in ENCODER_DECODERS:
        return Kind.ENCODER_DECODER
    raise CheckpointError(
        f"The checkpoint is of type {model_type!r}, which this server does not support; choose a Whisper, CTC "
        f"or transducer checkpoint, or one of type {', '.join(ENCODER_DECODERS)} as MODEL_ID."
    )


def _load_weights(folder: Path, kind: Kind, model_type: str) -> PreTrainedModel:
    auto_classes = {
        Kind.CTC: transformers.AutoModelForCTC,
        Kind.TRANSDUCER: (
            transformers.AutoModelForTDT if model_type in MODEL_FOR_TDT_MAPPING_NAMES else transformers.AutoModelForRNNT
        ),
        Kind.ENCODER_DECODER: transformers.AutoModelForSpeechSeq2Seq,
    }
    with _explain_errors(model_type, "model"):
        model, report = auto_classes[kind].from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **LOCAL
        )
    missing = sorted(
        {str(name) for name in report["missing_keys"] if not str(name).endswith(UNUSED_WEIGHTS)}
        | {str(name) for name, *_ in report["mismatched_keys"]}
    )
    if missing:
        others = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise CheckpointError(
            f"The checkpoint of type {model_type!r} cannot transcribe: it lacks {missing[0]}{others}; "
            "choose one that was fine-tuned for speech recognition."
        )
    loaded: PreTrainedModel = model
    return loaded


@contextlib.contextmanager
def _explain_errors(model_type: str, part: str) -> Iterator[None]:
    """Turns every error of transformers while it opens a part of a checkpoint into a CheckpointError."""
    try:
        yield
    except ImportError as error:
        logger.debug("A package is missing.", exc_info=True)
        reason = str(error).strip().partition(". ")[0].partition("\n")[0][:160]
        raise CheckpointError(
            f"The {part} of the checkpoint of type {model_type!r} needs a package that is not installed ({reason}); "
            f"run: {install_command('hf')}, or {OTHER}."
        ) from error
    except Exception as error:
        logger.debug("The %s cannot be opened.", part, exc_info=True)
        raise CheckpointError(
            f"The {part} of the checkpoint of type {model_type!r} cannot be read by {TRANSFORMERS}; "
            f"fetch it again, or {OTHER}."
        ) from error


def _names_language_model(folder: Path) -> bool:
    path = folder / "preprocessor_config.json"
    return path.is_file() and str(read_json(path).get("processor_class", "")).endswith("WithLM")
