"""Converts a checkpoint of transformers into one ggml file for whisper.cpp, in float16 or 8 bits.

The format: a magic word, eleven numbers, mel filters, the bytes of every text token, then the tensors, each with its
type, its dimensions (innermost first) and its name in OpenAI's checkpoints.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x67676D6C
FLOAT32, FLOAT16, Q8_0 = 0, 1, 8  # types of a tensor
ALL_FLOAT16, ALL_Q8_0 = 1, 2007  # types of a file; the thousands are the version of the quantisation
Q8_0_BLOCK = 32  # values that share a scale
NUM_FREQUENCIES = 201

# Parts of tensor names: transformers' to OpenAI's, in this order.
RENAMED = (
    ("model.", ""),
    (".layers.", ".blocks."),
    ("decoder.embed_tokens.weight", "decoder.token_embedding.weight"),
    ("embed_positions.weight", "positional_embedding"),
    ("self_attn_layer_norm", "attn_ln"),
    ("encoder_attn_layer_norm", "cross_attn_ln"),
    ("final_layer_norm", "mlp_ln"),
    ("encoder.layer_norm", "encoder.ln_post"),
    ("decoder.layer_norm", "decoder.ln"),
    ("self_attn.", "attn."),
    ("encoder_attn.", "cross_attn."),
    ("q_proj", "query"),
    ("k_proj", "key"),
    ("v_proj", "value"),
    ("out_proj", "out"),
    (".fc1.", ".mlp.0."),
    (".fc2.", ".mlp.2."),
)


def write_ggml(checkpoint: Path, path: Path, *, is_quantised: bool) -> None:
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    with path.open("wb") as file:
        file.write(struct.pack("<i", MAGIC))
        file.write(struct.pack("<11i", *dimensions(config), ALL_Q8_0 if is_quantised else ALL_FLOAT16))
        write_mel_filters(file, config["num_mel_bins"])
        write_vocabulary(file, checkpoint / "tokenizer.json")
        for name, values in tensors(checkpoint / "model.safetensors"):
            if name != "proj_out.weight":
                write_tensor(file, name, values, is_quantised=is_quantised)


def dimensions(config: dict[str, int]) -> list[int]:
    sides = [
        (f"max_{place}_positions", "d_model", f"{side}_attention_heads", f"{side}_layers")
        for place, side in (("source", "encoder"), ("target", "decoder"))
    ]
    return [config[key] for key in ("vocab_size", *sides[0], *sides[1], "num_mel_bins")]


def write_mel_filters(file: BinaryIO, n_mels: int) -> None:
    from asr_api.engines.whisper.logmel import mel_filters

    file.write(struct.pack("<2i", n_mels, NUM_FREQUENCIES))
    file.write(mel_filters(n_mels).astype("<f4").tobytes())


def write_vocabulary(file: BinaryIO, tokenizer: Path) -> None:
    """A byte-level BPE writes each byte as a letter: printable ones as themselves, the others from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {chr(byte): byte for byte in printable}
    letters |= {chr(256 + index): byte for index, byte in enumerate(sorted(set(range(256)) - set(printable)))}
    vocabulary = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    file.write(struct.pack("<i", len(vocabulary)))
    for token in sorted(vocabulary, key=vocabulary.__getitem__):
        text = bytes(letters[letter] for letter in token)
        file.write(struct.pack("<i", len(text)) + text)


def tensors(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    from safetensors.numpy import load_file

    for name, values in load_file(path).items():
        translated = name
        for theirs, ours in RENAMED:
            translated = translated.replace(theirs, ours)
        yield translated, values.astype(np.float32)


def write_tensor(file: BinaryIO, name: str, values: NDArray[np.float32], *, is_quantised: bool) -> None:
    if name.endswith(("conv1.bias", "conv2.bias")):
        values = values[:, None]  # one row per channel, as whisper.cpp adds it to frames
        kind = FLOAT32
    elif values.ndim == 1 or name.endswith("positional_embedding"):
        kind = FLOAT32
    else:
        kind = Q8_0 if is_quantised and values.ndim == 2 else FLOAT16
    encoded = name.encode()
    file.write(struct.pack(f"<{3 + values.ndim}i", values.ndim, len(encoded), kind, *reversed(values.shape)))
    file.write(encoded)
    file.write(q8_0(values) if kind == Q8_0 else values.astype("<f4" if kind == FLOAT32 else "<f2").tobytes())


def q8_0(values: NDArray[np.float32]) -> bytes:
    """Blocks of 32 values: a float16 scale, then each value as a multiple of it from -127 to 127."""
    blocks = values.reshape(-1, Q8_0_BLOCK)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / 127
    multiples = np.rint(np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales > 0)).astype(np.int8)
    packed = np.empty(len(blocks), np.dtype([("scale", "<f2"), ("multiples", np.int8, Q8_0_BLOCK)]))
    packed["scale"], packed["multiples"] = scales[:, 0], multiples
    return packed.tobytes()
