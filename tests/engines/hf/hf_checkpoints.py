"""Writes small random checkpoints of several architectures as hub folders: configs, vocabulary, safetensors.

The outputs are scaled so that the tokens depend on the audio and the best token leads clearly.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models

from tests.engines.whisper_checkpoints import write_json

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *string.ascii_uppercase, "'"]
WORDS = ["the", "sea", "is", "blue", "and", "seven", "birds", "sing", "a", "song", "to", "wind"]
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
CONVOLVED = SMALL | {"subsampling_conv_channels": 16}
N_PIECES = len(WORDS) + 3
TEXT_ONLY = {"vocab_size": N_PIECES, "pad_token_id": 0, "tie_word_embeddings": False}
WAVES = SMALL | {
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": len(LETTERS),
    "pad_token_id": 0,
}


def write_waves(folder: Path, architecture: str = "Wav2Vec2", norm: str = "layer", **config: object) -> Path:
    """norm: "layer" for models with a mask, "group" for those without"""
    settings = getattr(transformers, f"{architecture}Config")(
        **WAVES, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer", **config
    )
    torch.manual_seed(2)
    model = getattr(transformers, f"{architecture}ForCTC")(settings)
    _spread(model.lm_head)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=norm == "layer")
    write_json(folder / "vocab.json", _numbered(LETTERS))
    for part in (model, extractor, transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))):
        part.save_pretrained(folder)
    return folder


def _numbered(letters: list[str]) -> dict[str, int]:
    return {letter: index for index, letter in enumerate(letters)}


def write_mms(folder: Path) -> Path:
    """Two languages, each with an adapter and a vocabulary of its own; the second has fewer letters."""
    write_waves(folder, adapter_attn_dim=8)
    model = transformers.Wav2Vec2ForCTC.from_pretrained(folder)
    vocabularies = {"eng": LETTERS, "deu": [*LETTERS[:5], *(letter.lower() for letter in LETTERS[5:20])]}
    for seed, (name, letters) in enumerate(vocabularies.items()):
        torch.manual_seed(seed)
        adapter = {key: torch.randn_like(value) / 4 for key, value in model._get_adapters().items()}
        adapter["lm_head.weight"] = 2 * torch.randn(len(letters), SMALL["hidden_size"])
        adapter["lm_head.bias"] = _quiet_controls(torch.zeros(len(letters)))
        save_file(adapter, folder / f"adapter.{name}.safetensors")
    write_json(folder / "vocab.json", {name: _numbered(letters) for name, letters in vocabularies.items()})
    transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), target_lang="eng").save_pretrained(folder)
    return folder


def write_parakeet(folder: Path) -> Path:
    settings = transformers.ParakeetCTCConfig(encoder_config=CONVOLVED, vocab_size=N_PIECES, pad_token_id=0)
    model = _random_model(transformers.ParakeetForCTC, settings, seed=23)
    _spread(model.ctc_head)
    model.save_pretrained(folder)
    return _finish_parakeet(folder, _pieces())


def write_transducer(folder: Path) -> Path:
    """Parakeet with token durations; its blank is the last token."""
    settings = transformers.ParakeetTDTConfig(
        encoder_config=CONVOLVED,
        vocab_size=N_PIECES + 1,
        decoder_hidden_size=16,
        num_decoder_layers=1,
        pad_token_id=0,
        blank_token_id=N_PIECES,
    )
    model = _random_model(transformers.ParakeetForTDT, settings, seed=14)
    model.generation_config.decoder_start_token_id = N_PIECES
    model.save_pretrained(folder)
    pieces = _pieces()
    pieces.add_special_tokens(["<blank>"])
    return _finish_parakeet(folder, pieces, decoder_type="tdt")


def write_moonshine(folder: Path) -> Path:
    layers = _both_sides(num_hidden_layers=1, num_attention_heads=2)
    settings = transformers.MoonshineConfig(
        **layers, **TEXT_ONLY, hidden_size=32, intermediate_size=64, max_position_embeddings=64
    )
    model = _random_model(transformers.MoonshineForConditionalGeneration, settings, seed=5)
    model.generation_config.max_length = 24
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)
    return _finish_text_only(folder, model, extractor)


def write_speech2text(folder: Path) -> Path:
    settings = transformers.Speech2TextConfig(
        **_both_sides(layers=1, attention_heads=2, ffn_dim=64),
        **TEXT_ONLY,
        d_model=32,
        conv_channels=32,
        max_target_positions=24,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
    )
    model = _random_model(transformers.Speech2TextForConditionalGeneration, settings, seed=26)
    return _finish_text_only(folder, model, transformers.Speech2TextFeatureExtractor())


CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "wav2vec2 with a mask": write_waves,
    "wav2vec2 without a mask": partial(write_waves, norm="group"),
    "hubert": partial(write_waves, architecture="Hubert"),
    "mms": write_mms,
    "parakeet": write_parakeet,
    "transducer": write_transducer,
    "moonshine": write_moonshine,
    "speech2text": write_speech2text,
}


def _both_sides(**sizes: int) -> dict[str, int]:
    """The same sizes for encoder and decoder."""
    return {f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in sizes.items()}


def _finish_parakeet(folder: Path, pieces: Tokenizer, **options: str) -> Path:
    tokenizer = transformers.ParakeetTokenizer(tokenizer_object=pieces, unk_token="<unk>", pad_token="<pad>")
    processor = transformers.ParakeetProcessor(transformers.ParakeetFeatureExtractor(), tokenizer, **options)
    processor.save_pretrained(folder)
    return folder


def _finish_text_only(
    folder: Path, model: transformers.PreTrainedModel, extractor: transformers.SequenceFeatureExtractor
) -> Path:
    model.generation_config.suppress_tokens = [0, 1]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_pieces(), unk_token="<unk>", pad_token="<pad>", eos_token="</s>"
    )
    for part in (model, extractor, tokenizer):
        part.save_pretrained(folder)
    return folder


def _random_model(
    kind: type[transformers.PreTrainedModel], settings: transformers.PretrainedConfig, *, seed: int
) -> transformers.PreTrainedModel:
    """Amplified: the signal fades in layers whose weights are as small as at the start of a training."""
    torch.manual_seed(seed)
    model = kind(settings)
    for parameter in model.parameters():
        parameter.data *= 8 if parameter.dim() > 1 else 1
    return model


def _spread(head: torch.nn.Linear) -> None:
    """Moves the outputs of the head far apart."""
    head.weight.data = 2 * torch.randn_like(head.weight)
    head.bias.data = _quiet_controls(torch.zeros_like(head.bias))


def _quiet_controls(bias: torch.Tensor) -> torch.Tensor:
    """Keeps random models from emitting control tokens, as trained ones do, and makes them emit the delimiter."""
    is_letters = len(bias) > N_PIECES
    bias[1 : 4 if is_letters else 3] = -1000
    bias[4] += 8 * is_letters
    return bias


def _pieces() -> Tokenizer:
    """A vocabulary as SentencePiece's: a word begins with a mark."""
    vocabulary = ["<pad>", "<unk>", "</s>", *(f"\u2581{word}" for word in WORDS[:8]), *WORDS[8:]]
    backend = Tokenizer(models.BPE({piece: index for index, piece in enumerate(vocabulary)}, [], unk_token="<unk>"))
    backend.decoder = decoders.Metaspace()
    backend.add_special_tokens(vocabulary[:3])
    return backend
