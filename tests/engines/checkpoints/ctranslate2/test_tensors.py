"""Tensors of model.bin under transformers' names: the values of the safetensors file, in every type of the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.checkpoint import TensorReader
from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.errors import CheckpointError
from tests.engines.checkpoints.mapped import is_mapped
from tests.engines.ctranslate2_files import ctranslate2_variables, write_ctranslate2, write_model_file
from tests.engines.whisper_checkpoints import SMALL, tensor_shapes, write_checkpoint

QUERY, DIMS = "decoder.layers.1.self_attn.q_proj.weight", (SMALL.n_state, SMALL.n_state)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("source"), SMALL)


def converted(source: Path, folder: Path, dtype: str) -> TensorReader:
    return open_checkpoint(write_ctranslate2(source, folder, dtype)).tensors


@pytest.mark.parametrize(
    ("dtype", "code", "tolerance"),
    [
        ("float32", "F32", 0.0),
        ("float16", "F16", 2e-3),
        ("bfloat16", "BF16", 1e-2),
        ("int8", "I8", 0.0),
        ("int16", "F32", 0.0),
    ],
)
def test_every_tensor_has_the_values_of_the_other_format(
    source: Path, tmp_path: Path, dtype: str, code: str, tolerance: float
) -> None:
    expected, reader = open_checkpoint(source).tensors, converted(source, tmp_path, dtype)
    for full_name, dims in tensor_shapes(SMALL):
        name = full_name.removeprefix("model.")
        values = expected.numbers(name, dims)
        largest = np.abs(values).max()
        unit = {"int8": largest / 127, "int16": np.abs(expected_fused(expected, name, dims)).max() / 1024}.get(dtype, 0)
        np.testing.assert_allclose(reader.numbers(name, dims), values, rtol=tolerance, atol=0.51 * unit + 1e-7)
    assert reader.tensor(QUERY, DIMS).dtype == code
    assert (reader.tensor(QUERY, DIMS).steps is not None) is (dtype == "int8")


def expected_fused(reader: TensorReader, name: str, dims: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype]:
    """All tensors that CTranslate2 joins with this one: 16-bit integers share one scale."""
    head, _, part = name.rpartition("_proj.")
    if not head.endswith((".q", ".k", ".v")) or part == "bias":
        return reader.numbers(name, dims)
    joined = "kv" if "encoder_attn" in head and not head.endswith(".q") else "qkv"
    if "encoder_attn" in head and head.endswith(".q"):
        joined = "q"
    return np.concatenate([reader.numbers(f"{head[:-1]}{letter}_proj.{part}", dims) for letter in joined])


def test_values_are_views_of_the_map_where_they_are_aligned(source: Path, tmp_path: Path) -> None:
    """Each tensor begins at an even or an odd position, as the names before it have it."""
    reader = converted(source, tmp_path, "float16")
    tensors = [reader.tensor(name.removeprefix("model."), dims) for name, dims in tensor_shapes(SMALL)]
    num_mapped = sum(is_mapped(tensor.values) for tensor in tensors)
    assert len(tensors) // 4 < num_mapped < len(tensors)


def test_values_at_odd_positions_are_aligned(source: Path, tmp_path: Path) -> None:
    reader = converted(source, tmp_path, "float16")
    assert all(
        reader.tensor(name.removeprefix("model."), dims).values.flags.aligned for name, dims in tensor_shapes(SMALL)
    )


def test_projection_may_have_a_tensor_of_its_own(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "source", SMALL, output_projection="other")
    checkpoint = open_checkpoint(write_ctranslate2(source, tmp_path / "converted"))
    dims = (SMALL.n_vocab, SMALL.n_state)
    assert checkpoint.config["tie_word_embeddings"] is False
    np.testing.assert_array_equal(
        checkpoint.tensors.numbers("proj_out.weight", dims),
        open_checkpoint(source).tensors.numbers("proj_out.weight", dims),
    )


@pytest.mark.parametrize("position", [1, 5000, 77_777, -1])
def test_model_file_may_come_in_parts(source: Path, tmp_path: Path, position: int) -> None:
    data = (write_ctranslate2(source, tmp_path, "float16") / "model.bin").read_bytes()
    whole = open_checkpoint(tmp_path).tensors
    parts = [tmp_path / "first", tmp_path / "second"]
    parts[0].write_bytes(data[:position])
    parts[1].write_bytes(data[position:])
    (tmp_path / "model.bin").unlink()
    reader = open_checkpoint(tmp_path, parts).tensors
    for name, dims in tensor_shapes(SMALL):
        short = name.removeprefix("model.")
        np.testing.assert_array_equal(reader.numbers(short, dims), whole.numbers(short, dims))


@pytest.mark.parametrize(
    ("name", "dims", "named"),
    [
        ("decoder.layers.9.fc1.bias", (4,), "no tensor"),
        ("decoder.nonsense", (4,), "no tensor"),
        ("encoder.layers.0.nonsense.weight", (4,), "no tensor"),
        ("encoder.layers.0.encoder_attn.q_proj.weight", DIMS, "no tensor"),
        (QUERY, (3, 3), r"\(64, 64\).*\(3, 3\)"),
    ],
)
def test_missing_or_misshapen_tensor_is_named(
    source: Path, tmp_path: Path, name: str, dims: tuple[int, ...], named: str
) -> None:
    with pytest.raises(CheckpointError, match=named):
        converted(source, tmp_path, "float32").tensor(name, dims)


@pytest.mark.parametrize(
    ("scale", "sentence"),
    [
        (None, "without scales that fit"),
        (np.ones(3, np.float32), "without scales that fit"),
        (np.zeros(3 * SMALL.n_state, np.float32), "not positive numbers"),
        (np.full(3 * SMALL.n_state, np.nan, np.float32), "not positive numbers"),
        (np.full(3 * SMALL.n_state, -1, np.float32), "not positive numbers"),
    ],
)
def test_integers_need_good_scales(source: Path, tmp_path: Path, scale: np.ndarray | None, sentence: str) -> None:
    fused = "decoder/layer_1/self_attention/linear_0/weight"
    variables = ctranslate2_variables(source)
    variables[fused] = np.ones(variables[fused].shape, np.int8)
    if scale is not None:
        variables[f"{fused}_scale"] = scale
    write_model_file(write_ctranslate2(source, tmp_path) / "model.bin", variables, "as they are")
    with pytest.raises(CheckpointError, match=sentence):
        open_checkpoint(tmp_path).tensors.tensor(QUERY, DIMS)
