"""Writes small random checkpoints of several architectures as hub folders: configs, vocabulary, safetensors.

The outputs are scaled so that the tokens depend on the audio and the best token leads clearly.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *string.ascii_uppercase, "'"]
WORDS = ["the", "sea", "is", "blue", "and", "seven", "birds", "sing", "a", "song", "to", "wind"]
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
WAVES = SMALL | {
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": len(LETTERS),
    "pad_token_id": 0,
}


def write_wav2vec2(folder: Path, *, norm: str, **config: object) -> Path:
    """norm: "layer" for models with a mask, "group" for those without"""
    settings = transformers.Wav2Vec2Config(
        **WAVES, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer", **config
    )
    return _finish_waves(folder, transformers.Wav2Vec2ForCTC, settings, has_mask=norm == "layer")


def write_hubert(folder: Path) -> Path:
    settings = transformers.HubertConfig(**WAVES, feat_extract_norm="layer", do_stable_layer_norm=True)
    return _finish_waves(folder, transformers.HubertForCTC, settings, has_mask=True)


def write_mms(folder: Path) -> Path:
    """Two languages, each with an adapter and a vocabulary of its own; the second has fewer letters."""
    write_wav2vec2(folder, norm="layer", adapter_attn_dim=8)
    model = transformers.Wav2Vec2ForCTC.from_pretrained(folder)
    vocabularies = {"eng": LETTERS, "deu": [*LETTERS[:5], *(letter.lower() for letter in LETTERS[5:20])]}
    for seed, (name, letters) in enumerate(vocabularies.items()):
        torch.manual_seed(seed)
        adapter = {key: torch.randn_like(value) / 4 for key, value in model._get_adapters().items()}
        adapter["lm_head.weight"] = 2 * torch.randn(len(letters), SMALL["hidden_size"])
        adapter["lm_head.bias"] = _quiet_controls(torch.zeros(len(letters)))
        save_file(adapter, folder / f"adapter.{name}.safetensors")
    nested = {name: {letter: index for index, letter in enumerate(letters)} for name, letters in vocabularies.items()}
    (folder / "vocab.json").write_text(json.dumps(nested), encoding="utf-8")
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), target_lang="eng")
    tokenizer.save_pretrained(folder)
    return folder


def write_parakeet(folder: Path) -> Path:
    settings = transformers.ParakeetCTCConfig(
        encoder_config=SMALL | {"subsampling_conv_channels": 16}, vocab_size=len(WORDS) + 3, pad_token_id=0
    )
    torch.manual_seed(23)
    model = transformers.ParakeetForCTC(settings)
    _amplify(model, 8)
    _spread(model.ctc_head.weight, model.ctc_head.bias, gain=2)
    model.save_pretrained(folder)
    tokenizer = transformers.ParakeetTokenizer(tokenizer_object=_pieces(), unk_token="<unk>", pad_token="<pad>")
    transformers.ParakeetProcessor(transformers.ParakeetFeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


def write_transducer(folder: Path) -> Path:
    """Parakeet with token durations; its blank is the last token."""
    blank = len(WORDS) + 3
    settings = transformers.ParakeetTDTConfig(
        encoder_config=SMALL | {"subsampling_conv_channels": 16},
        vocab_size=blank + 1,
        decoder_hidden_size=16,
        num_decoder_layers=1,
        pad_token_id=0,
        blank_token_id=blank,
    )
    torch.manual_seed(14)
    model = transformers.ParakeetForTDT(settings)
    _amplify(model, 8)
    model.generation_config.decoder_start_token_id = blank
    model.save_pretrained(folder)
    backend = _pieces()
    backend.add_special_tokens(["<blank>"])
    tokenizer = transformers.ParakeetTokenizer(tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>")
    processor = transformers.ParakeetProcessor(transformers.ParakeetFeatureExtractor(), tokenizer, decoder_type="tdt")
    processor.save_pretrained(folder)
    return folder


def write_moonshine(folder: Path) -> Path:
    settings = transformers.MoonshineConfig(
        vocab_size=len(WORDS) + 3,
        hidden_size=32,
        intermediate_size=64,
        encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1,
        encoder_num_attention_heads=2,
        decoder_num_attention_heads=2,
        max_position_embeddings=64,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    torch.manual_seed(5)
    model = transformers.MoonshineForConditionalGeneration(settings)
    _amplify(model, 8)
    model.generation_config.max_length = 24
    model.generation_config.suppress_tokens = [0, 1]
    model.save_pretrained(folder)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)
    extractor.save_pretrained(folder)
    _fast_tokenizer().save_pretrained(folder)
    return folder


def write_speech2text(folder: Path) -> Path:
    settings = transformers.Speech2TextConfig(
        vocab_size=len(WORDS) + 3,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        conv_channels=32,
        num_conv_layers=2,
        max_target_positions=24,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        tie_word_embeddings=False,
    )
    torch.manual_seed(26)
    model = transformers.Speech2TextForConditionalGeneration(settings)
    _amplify(model, 8)
    model.generation_config.suppress_tokens = [0, 1]
    model.save_pretrained(folder)
    transformers.Speech2TextFeatureExtractor().save_pretrained(folder)
    _fast_tokenizer().save_pretrained(folder)
    return folder


CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "wav2vec2 with a mask": lambda folder: write_wav2vec2(folder, norm="layer"),
    "wav2vec2 without a mask": lambda folder: write_wav2vec2(folder, norm="group"),
    "hubert": write_hubert,
    "mms": write_mms,
    "parakeet": write_parakeet,
    "transducer": write_transducer,
    "moonshine": write_moonshine,
    "speech2text": write_speech2text,
}


def _finish_waves(
    folder: Path, kind: type[transformers.PreTrainedModel], settings: transformers.PretrainedConfig, *, has_mask: bool
) -> Path:
    torch.manual_seed(2)
    model = kind(settings)
    _spread(model.lm_head.weight, model.lm_head.bias, gain=2)
    model.save_pretrained(folder)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=has_mask)
    extractor.save_pretrained(folder)
    vocabulary = {letter: index for index, letter in enumerate(LETTERS)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    return folder


def _spread(weight: torch.Tensor, bias: torch.Tensor, *, gain: float) -> None:
    """A head whose outputs are far apart."""
    weight.data = gain * torch.randn_like(weight)
    bias.data = _quiet_controls(torch.zeros_like(bias))


def _amplify(model: torch.nn.Module, gain: float) -> None:
    """The signal fades in layers whose weights are as small as at the start of a training."""
    for parameter in model.parameters():
        parameter.data *= gain if parameter.dim() > 1 else 1


def _quiet_controls(bias: torch.Tensor) -> torch.Tensor:
    """Keeps random models from emitting control tokens, as trained ones do, and makes them emit the delimiter."""
    is_letters = len(bias) > len(WORDS) + 3
    bias[1 : 4 if is_letters else 3] = -1000
    bias[4] += 8 * is_letters
    return bias


def _pieces() -> Tokenizer:
    """SentencePiece's way: a word begins with a mark."""
    vocabulary = ["<pad>", "<unk>", "</s>", *(f"\u2581{word}" for word in WORDS[:8]), *WORDS[8:]]
    backend = Tokenizer(models.BPE({piece: index for index, piece in enumerate(vocabulary)}, [], unk_token="<unk>"))
    backend.decoder = decoders.Metaspace()
    backend.add_special_tokens(vocabulary[:3])
    return backend


def _fast_tokenizer() -> transformers.PreTrainedTokenizerFast:
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=_pieces(), unk_token="<unk>", pad_token="<pad>", eos_token="</s>"
    )
