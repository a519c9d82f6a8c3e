"""A folder in CTranslate2's format gives the configuration, the tokenizer and the tokens of the same checkpoint."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.completeness import missing_files
from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.onnx.quantized_builder import LIMIT, REDUCED_LIMIT, QuantizedBuilder
from asr_api.engines.protocol import ComputeType
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.errors import CheckpointError
from asr_api.options import DecodeOptions
from tests.engines.ctranslate2_files import ctranslate2_variables, write_ctranslate2, write_model_file
from tests.engines.sounds import sound
from tests.engines.transcribing import open_onnx, transcribe
from tests.engines.whisper_checkpoints import (
    SMALL,
    SMALL_128,
    SMALL_EN,
    Shape,
    change_json,
    tensor_shapes,
    vocabulary,
    write_checkpoint,
    write_safetensors,
)

TEXTS = ("the weather, then: 12 o'clock", " ü 漢字 🙂", "<|en|>")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("source"), SMALL)


@pytest.mark.parametrize("shape", [SMALL, SMALL_EN, SMALL_128])
def test_configuration_is_read_from_both_files(shape: Shape, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "source", shape)
    change_json(source / "generation_config.json", is_multilingual=..., alignment_heads=[[0, 1]])
    folder = write_ctranslate2(source, tmp_path / "converted", "int8")
    assert missing_files(folder) == []
    assert read_whisper_config(open_checkpoint(folder)) == read_whisper_config(open_checkpoint(source))


@pytest.mark.parametrize("compute_type", ["float32", "int8"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tokens_are_those_of_the_other_format(tmp_path: Path, dtype: str, compute_type: ComputeType) -> None:
    source = write_checkpoint(tmp_path / "source", dataclasses.replace(SMALL, dtype=dtype))
    change_json(source / "generation_config.json", is_multilingual=...)
    folder = write_ctranslate2(source, tmp_path / "converted", dtype)
    options = DecodeOptions(words=True, prompt="the")
    sounds = [sound(seconds, seed) for seed, seconds in enumerate((3.0, 1.4))]
    first, second = (
        transcribe(open_onnx(path, compute_type=compute_type), sounds, options) for path in (source, folder)
    )
    assert first == second


@pytest.mark.parametrize("compute_type", ["float32", "int8"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_tokens_of_an_integer_file_are_those_of_its_values(
    tmp_path: Path, dtype: str, compute_type: ComputeType
) -> None:
    source = write_checkpoint(tmp_path / "source", SMALL_EN)
    folder = write_ctranslate2(source, tmp_path / "converted", dtype)
    reader = open_checkpoint(folder).tensors
    values = {name: reader.numbers(name.removeprefix("model."), dims) for name, dims in tensor_shapes(SMALL_EN)}
    write_safetensors(source / "model.safetensors", values)
    sounds = [sound(seconds, seed) for seed, seconds in enumerate((3.0, 1.4))]
    first, second = (
        transcribe(open_onnx(path, compute_type=compute_type), sounds, DecodeOptions()) for path in (source, folder)
    )
    assert [transcript.tokens for transcript in first] == [transcript.tokens for transcript in second]


@pytest.mark.parametrize("limit", [LIMIT, REDUCED_LIMIT])
def test_integers_are_used_as_they_are_stored_where_they_fit(source: Path, tmp_path: Path, limit: int) -> None:
    name, dims = "decoder.layers.0.encoder_attn.v_proj", (SMALL.n_state, SMALL.n_state)
    reader = open_checkpoint(write_ctranslate2(source, tmp_path, "int8")).tensors
    builder = QuantizedBuilder(reader, limit)
    builder.linear("x", name, *dims)
    stored = reader.tensor(f"{name}.weight", dims)
    integers, steps = (builder.weights[f"{name}.weight.{part}"].values for part in ("int8", "scales"))
    assert np.array_equal(integers.T, stored.values) is (limit == LIMIT)
    assert stored.steps is not None
    assert np.array_equal(steps, stored.steps) is (limit == LIMIT)
    assert np.abs(integers.astype(int)).max() == limit


def test_safetensors_are_preferred(source: Path, tmp_path: Path) -> None:
    folder = write_ctranslate2(source, tmp_path)
    for name in ("model.safetensors", "config.json"):
        (folder / name).write_bytes((source / name).read_bytes())
    (folder / "model.bin").write_bytes(b"a pickle")
    assert read_whisper_config(open_checkpoint(folder)).n_state == SMALL.n_state


@pytest.mark.parametrize("name", ["vocabulary.json", "vocabulary.txt"])
def test_a_vocabulary_is_a_whole_tokenizer(source: Path, tmp_path: Path, name: str) -> None:
    folder = write_ctranslate2(source, tmp_path)
    whole = Tokenizer(open_checkpoint(folder).tokenizer)
    (folder / "tokenizer.json").unlink()
    assert missing_files(folder) == ["tokenizer.json"]
    tokens = [*sorted(vocabulary(SMALL)[0], key=vocabulary(SMALL)[0].__getitem__), *SMALL.specials]
    text = json.dumps(tokens) if name.endswith("json") else "".join(f"{token}\n" for token in tokens)
    (folder / name).write_text(text, encoding="utf-8")
    assert missing_files(folder) == []
    tokenizer = Tokenizer(open_checkpoint(folder).tokenizer)
    assert (tokenizer.end, tokenizer.languages) == (whole.end, whole.languages)
    for text in TEXTS:
        assert tokenizer.encode(text) == whole.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


HALF_PAIR = b'["a", "a\\ud800", "<|endoftext|>"]'
LONG = b"a\nb\nab\n" + b"ab" * 10**6 + b"\n<|endoftext|>\n"  # its merges would take hours


@pytest.mark.parametrize("content", [b"", b"a\nb\n", b"\xff", b"{", b"[1", b"7", b"[" * 100_000, HALF_PAIR, LONG])
@pytest.mark.parametrize("name", ["vocabulary.json", "vocabulary.txt"])
def test_a_vocabulary_of_something_else_is_refused(source: Path, tmp_path: Path, name: str, content: bytes) -> None:
    folder = write_ctranslate2(source, tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json and no vocabulary"):
        _ = open_checkpoint(folder).tokenizer
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name} is not a list of Whisper's tokens"):
        _ = open_checkpoint(folder).tokenizer


def test_missing_settings_are_named(source: Path, tmp_path: Path) -> None:
    folder = write_ctranslate2(source, tmp_path)
    (folder / "config.json").unlink()
    assert missing_files(folder) == ["config.json"]
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_whisper_config(open_checkpoint(folder))


def test_another_activation_is_refused(source: Path, tmp_path: Path) -> None:
    folder = write_ctranslate2(source, tmp_path)
    variables = ctranslate2_variables(source) | {"decoder/activation": np.array(0, np.int8)}
    write_model_file(folder / "model.bin", variables)
    with pytest.raises(CheckpointError, match="activation 'relu'"):
        read_whisper_config(open_checkpoint(folder))
