"""Random Whisper checkpoints of any shape, with the files of a hub folder: configs, tokenizer, safetensors.

The weights come from a stable generator, so that golden tokens stay valid. They are scaled so that the next token
depends on the audio, on the position and on the tokens before it, and so that the best token leads clearly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from asr_api.text.languages import LANGUAGES

Floats = NDArray[np.float32]
NUM_TIMESTAMPS, NUM_WAVES = 1501, 8
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]  # bytes that are letters of byte-level BPE
SUPPRESSED = ("startoftranscript", "translate", "transcribe", "startoflm", "startofprev", "nospeech")


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of a checkpoint; the defaults are small enough for the default test run."""

    n_mels: int = 80
    n_state: int = 64
    n_head: int = 2
    n_audio_layer: int = 2
    n_text_layer: int = 2
    n_audio_ctx: int = 150
    n_text_ctx: int = 96
    n_text_tokens: int = 300
    num_languages: int = 99
    is_multilingual: bool = True
    dtype: str = "float32"
    num_shards: int = 1
    logit_gain: float = 4.5
    end_gain: float = 1.0  # how strongly the end of text is preferred late in the window
    timestamp_gain: float = 1.0
    timestamp_noise: float = 0.3
    position_noise: float = 1.5

    @property
    def end(self) -> int:
        return self.n_text_tokens

    @property
    def n_vocab(self) -> int:
        return self.n_text_tokens + len(self.specials) + NUM_TIMESTAMPS

    @property
    def timestamps(self) -> range:
        begin = self.n_text_tokens + len(self.specials)
        return range(begin, begin + NUM_TIMESTAMPS)

    @property
    def specials(self) -> list[str]:
        languages = [f"<|{code}|>" for code in list(LANGUAGES)[: self.num_languages]]
        tail = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
        return ["<|endoftext|>", "<|startoftranscript|>", *languages, *(f"<|{name}|>" for name in tail)]

    def special(self, name: str) -> int:
        return self.end + self.specials.index(f"<|{name}|>")


SMALL = Shape()
SMALL_EN = Shape(is_multilingual=False, n_audio_layer=1, n_state=48, n_head=3)
SMALL_128 = Shape(n_mels=128, num_languages=100, n_text_layer=1, n_state=96, n_head=4)
TINY = Shape(
    n_state=384, n_head=6, n_audio_layer=4, n_text_layer=4, n_audio_ctx=1500, n_text_ctx=448, n_text_tokens=50257
)


def write_checkpoint(
    folder: Path,
    shape: Shape,
    seed: int = 1,
    *,
    rounded_to: str = "",
    output_projection: Literal["", "copy", "other"] = "",
) -> Path:
    """Writes all files and returns the folder.

    rounded_to:        float16 or bfloat16: values that fit it, stored as float32
    output_projection: stores proj_out.weight too: a copy of the embedding, or another one that is not tied to it
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", _config(shape) | {"tie_word_embeddings": output_projection != "other"})
    write_json(folder / "generation_config.json", _generation_config(shape))
    write_tokenizer_json(folder, shape)
    tensors = dict(_random_tensors(shape, seed))
    if output_projection:
        embedding = tensors["model.decoder.embed_tokens.weight"]
        tensors["proj_out.weight"] = embedding if output_projection == "copy" else np.roll(embedding, 1, axis=0)
    if rounded_to:
        tensors = {name: _rounded(values, rounded_to) for name, values in tensors.items()}
    if shape.num_shards == 1:
        write_safetensors(folder / "model.safetensors", tensors, shape.dtype)
    else:
        shards = [dict(list(tensors.items())[shard :: shape.num_shards]) for shard in range(shape.num_shards)]
        write_shards(folder, shards, shape.dtype)
    return folder


def write_shards(folder: Path, shards: list[dict[str, Floats]], dtype: str = "float32") -> None:
    files = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    for file, tensors in zip(files, shards, strict=True):
        write_safetensors(folder / file, tensors, dtype)
    weight_map = {name: file for file, tensors in zip(files, shards, strict=True) for name in tensors}
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def tensor_shapes(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and dimensions of every tensor, as transformers stores them."""
    d, f = shape.n_state, 4 * shape.n_state
    yield from _layer("encoder.conv1", d, shape.n_mels, 3)
    yield from _layer("encoder.conv2", d, d, 3)
    yield "model.encoder.embed_positions.weight", (shape.n_audio_ctx, d)
    yield "model.decoder.embed_tokens.weight", (shape.n_vocab, d)
    yield "model.decoder.embed_positions.weight", (shape.n_text_ctx, d)
    for side, n_layer in (("encoder", shape.n_audio_layer), ("decoder", shape.n_text_layer)):
        attentions = ("self_attn", "encoder_attn") if side == "decoder" else ("self_attn",)
        for layer in range(n_layer):
            prefix = f"{side}.layers.{layer}"
            for attention in attentions:
                for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    yield from _layer(f"{prefix}.{attention}.{projection}", d, d, has_bias=projection != "k_proj")
            for norm in (*(f"{attention}_layer_norm" for attention in attentions), "final_layer_norm"):
                yield from _layer(f"{prefix}.{norm}", d)
            yield from _layer(f"{prefix}.fc1", f, d)
            yield from _layer(f"{prefix}.fc2", d, f)
        yield from _layer(f"{side}.layer_norm", d)


def _layer(name: str, *dims: int, has_bias: bool = True) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"model.{name}.weight", dims
    if has_bias:
        yield f"model.{name}.bias", dims[:1]


def _layer_shapes(prefix: str, attentions: Iterable[str], d: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for attention in attentions:
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"{prefix}.{attention}.{projection}.weight", (d, d)
            if projection != "k_proj":
                yield f"{prefix}.{attention}.{projection}.bias", (d,)
    for norm in (*(f"{attention}_layer_norm" for attention in attentions), "final_layer_norm"):
        yield f"{prefix}.{norm}.weight", (d,)
        yield f"{prefix}.{norm}.bias", (d,)
    yield f"{prefix}.fc1.weight", (4 * d, d)
    yield f"{prefix}.fc1.bias", (4 * d,)
    yield f"{prefix}.fc2.weight", (d, 4 * d)
    yield f"{prefix}.fc2.bias", (d,)


def _random_tensors(shape: Shape, seed: int) -> Iterator[tuple[str, Floats]]:
    random = np.random.RandomState(seed)
    towards_end = random.standard_normal(shape.n_state)
    waves = random.standard_normal((2 * NUM_WAVES, shape.n_state)) / np.sqrt(NUM_WAVES)
    for name, dims in tensor_shapes(shape):
        values = random.standard_normal(dims)
        if "norm.weight" in name:
            values = 1 + 0.1 * values
        elif name.endswith("bias"):
            values = 0.1 * values
        elif "embed_tokens" in name:
            values[shape.end] += shape.end_gain * towards_end
            # Timestamps resemble their neighbours, and the positions at which they are sampled.
            progress = np.arange(NUM_TIMESTAMPS) / shape.n_audio_ctx
            likeness = shape.timestamp_gain * (progress <= 1)[:, None] * _waves(progress)
            values[-NUM_TIMESTAMPS:] = shape.timestamp_noise * values[-NUM_TIMESTAMPS:] + likeness @ waves
            values *= shape.logit_gain / np.sqrt(shape.n_state)
        elif "decoder.embed_positions" in name:
            progress = np.linspace(0, 1, len(values))
            values = (
                shape.position_noise * values + _waves(progress) @ waves + 2 * (progress[:, None] - 0.5) * towards_end
            )
        elif "embed_positions" in name:
            values *= 0.5
        else:
            # Sharp attention, so that the audio matters.
            gain = 2.0 if "q_proj" in name or "k_proj" in name else 1.0
            values *= gain / np.sqrt(np.prod(dims[1:]))
        yield name, values.astype(np.float32)


def _waves(x: NDArray[np.float64]) -> NDArray[np.float64]:
    angles = np.pi * np.arange(1, NUM_WAVES + 1) * x[:, None]
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def write_safetensors(path: Path, tensors: dict[str, Floats], dtype: str = "float32") -> None:
    """The format is a length, a JSON header and the raw values; bfloat16 is the upper half of float32."""
    code, value_bytes = {"float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2)}[dtype]
    header, offset = {}, 0
    for name, values in tensors.items():
        end = offset + value_bytes * values.size
        header[name] = {"dtype": code, "shape": values.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(_stored(values, dtype) for values in tensors.values())


def _stored(values: Floats, dtype: str) -> bytes:
    if dtype == "bfloat16":
        return (_rounded(values, dtype).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return values.astype(dtype).tobytes()


def _rounded(values: Floats, dtype: str) -> Floats:
    if dtype == "bfloat16":
        return (np.ascontiguousarray(values).view(np.uint32) >> 16 << 16).view(np.float32)
    return values.astype(dtype).astype(np.float32)


def _special_ids(shape: Shape) -> dict[str, object]:
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), shape.end)
    return {**ends, "decoder_start_token_id": shape.end + 1}


def _config(shape: Shape) -> dict[str, object]:
    return _special_ids(shape) | {
        "model_type": "whisper",
        "activation_function": "gelu",
        "num_mel_bins": shape.n_mels,
        "d_model": shape.n_state,
        "encoder_layers": shape.n_audio_layer,
        "encoder_attention_heads": shape.n_head,
        "encoder_ffn_dim": 4 * shape.n_state,
        "decoder_layers": shape.n_text_layer,
        "decoder_attention_heads": shape.n_head,
        "decoder_ffn_dim": 4 * shape.n_state,
        "max_source_positions": shape.n_audio_ctx,
        "max_target_positions": shape.n_text_ctx,
        "vocab_size": shape.n_vocab,
    }


def _generation_config(shape: Shape) -> dict[str, object]:
    config = _special_ids(shape) | {
        "begin_suppress_tokens": [220, shape.end],
        "suppress_tokens": [*range(1, 90, 9), *map(shape.special, SUPPRESSED)],
        "is_multilingual": shape.is_multilingual,
        "max_initial_timestamp_index": 50,
        "max_length": shape.n_text_ctx,
        "no_timestamps_token_id": shape.special("notimestamps"),
    }
    if shape.is_multilingual:
        codes = list(LANGUAGES)[: shape.num_languages]
        config["lang_to_id"] = {f"<|{code}|>": shape.special(code) for code in codes}
        config["task_to_id"] = {task: shape.special(task) for task in ("transcribe", "translate")}
    return config


def vocabulary(shape: Shape) -> tuple[dict[str, int], list[str]]:
    """Text tokens of a byte-level BPE and its merges: the 256 bytes, then pairs of letters in a fixed order."""
    letters = [*map(chr, PRINTABLE), *map(chr, range(256, 512 - len(PRINTABLE)))]
    vocab = {letter: index for index, letter in enumerate(letters)}
    pairs = ((left, right) for right in letters for left in letters)
    merges = []
    while len(vocab) < shape.n_text_tokens:
        left, right = next(pairs)
        merges.append(f"{left} {right}")
        vocab[left + right] = len(vocab)
    return vocab, merges


def write_tokenizer_json(folder: Path, shape: Shape) -> None:
    vocab, merges = vocabulary(shape)
    pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
    tokenizer = Tokenizer(models.BPE(vocab, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(shape.specials)
    tokenizer.add_tokens([AddedToken(f"<|{0.02 * index:.2f}|>", normalized=False) for index in range(NUM_TIMESTAMPS)])
    tokenizer.save(str(folder / "tokenizer.json"))


def write_vocab_files(folder: Path, shape: Shape) -> None:
    """The older layout: vocab.json, merges.txt and added_tokens.json instead of tokenizer.json."""
    vocab, merges = vocabulary(shape)
    (folder / "tokenizer.json").unlink(missing_ok=True)
    write_json(folder / "vocab.json", vocab | {"<|endoftext|>": shape.end})
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    added = {content: shape.end + index for index, content in enumerate(shape.specials) if index > 0}
    write_json(folder / "added_tokens.json", added)


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def change_json(path: Path, **changes: object) -> None:
    """changes: of the keys; ... removes one"""
    value = json.loads(path.read_text(encoding="utf-8")) | changes
    write_json(path, {key: entry for key, entry in value.items() if entry is not ...})
