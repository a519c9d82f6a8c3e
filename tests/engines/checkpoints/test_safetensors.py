"""Tensors of safetensors files, whole or in shards, and a checkpoint that consists of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.completeness import INDEX_FILE
from asr_api.engines.checkpoints.safetensors import SafetensorsCheckpoint, SafetensorsReader
from asr_api.errors import CheckpointError
from tests.engines.checkpoints.mapped import is_mapped
from tests.engines.whisper_checkpoints import write_json, write_safetensors, write_shards

TENSORS = {"model.encoder.a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1.5, -2.0], np.float32)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_safetensors(tmp_path / "model.safetensors", TENSORS)
    return tmp_path


@pytest.mark.parametrize("is_sharded", [False, True])
def test_tensors_are_views_by_name_without_the_model_prefix(is_sharded: bool, folder: Path) -> None:
    if is_sharded:
        (folder / "model.safetensors").unlink()
        write_shards(folder, [{name: values} for name, values in TENSORS.items()])
    reader = SafetensorsReader(folder)
    first = reader.tensor("encoder.a", (2, 3))
    assert first.dtype == "F32"
    np.testing.assert_array_equal(first.values, TENSORS["model.encoder.a"])
    assert is_mapped(first.values)
    assert not is_mapped(first.values.copy())
    np.testing.assert_array_equal(reader.tensor("b", (2,)).values, TENSORS["b"])


@pytest.mark.parametrize(
    ("dtype", "code", "stored"),
    [("float32", "F32", [1.5, -2.0]), ("float16", "F16", [1.5, -2.0]), ("bfloat16", "BF16", [0x3FC0, 0xC000])],
)
def test_values_are_given_as_stored_and_as_float32(dtype: str, code: str, stored: list[float], tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", TENSORS, dtype)
    reader = SafetensorsReader(tmp_path)
    tensor, numbers = reader.tensor("b", (2,)), reader.numbers("b", (2,))
    assert (tensor.dtype, tensor.values.tolist()) == (code, stored)
    assert (numbers.dtype, numbers.tolist()) == (np.float32, [1.5, -2.0])


def test_unaligned_tensors_are_read(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    path.write_bytes((length + 3).to_bytes(8, "little") + data[8 : 8 + length] + b"   " + data[8 + length :])
    np.testing.assert_array_equal(SafetensorsReader(folder).tensor("b", (2,)).values, TENSORS["b"])


@pytest.mark.parametrize(
    ("name", "dims", "named"),
    [("c", (1,), "no tensor c"), ("b", (3,), r"\(2,\).*\(3,\)"), ("encoder.a", (6,), "encoder.a")],
)
def test_missing_or_misshapen_tensor_is_named(name: str, dims: tuple[int, ...], named: str, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=named):
        SafetensorsReader(folder).tensor(name, dims)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickle_is_never_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(CheckpointError, match=r"pickled.*convert them to safetensors"):
        SafetensorsReader(tmp_path)


def test_index_does_not_lead_out_of_the_folder(folder: Path) -> None:
    inside = folder / "inside"
    inside.mkdir()
    write_json(inside / INDEX_FILE, {"weight_map": {"b": "../model.safetensors"}})
    with pytest.raises(CheckpointError, match=r"lacks model\.safetensors"):
        SafetensorsReader(inside)


@pytest.mark.parametrize(
    "header",
    [
        {"b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"b": {"dtype": "F32", "shape": [200], "data_offsets": [0, 800]}},
        {"b": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}},
        {"b": {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}},
        {"b": {"dtype": "F32", "shape": [2]}},
        {"b": 1},
        [],
        "cut off",
        b"",
        b"1234567",
        bytes(100),
        b"\xff" * 100,
    ],
)
def test_invalid_file_is_refused(header: object, tmp_path: Path) -> None:
    text = header if isinstance(header, str) else json.dumps(header) if not isinstance(header, bytes) else ""
    data = header if isinstance(header, bytes) else len(text).to_bytes(8, "little") + text.encode() + bytes(8)
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="cut off or not a safetensors file"):
        SafetensorsReader(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"b": np.array([1, value], np.float32)})
    with pytest.raises(CheckpointError, match="b contains NaN or infinity"):
        SafetensorsReader(tmp_path).numbers("b", (2,))


def test_tensors_stay_valid_when_their_memory_is_freed(folder: Path) -> None:
    reader = SafetensorsReader(folder)
    before = reader.tensor("b", (2,))
    reader.forget()
    assert before.values.tolist() == reader.tensor("b", (2,)).values.tolist() == [1.5, -2.0]


def test_checkpoint_reads_its_parts_on_demand(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"model_type": "whisper", "d_model": 8})
    checkpoint = SafetensorsCheckpoint(tmp_path)
    assert (checkpoint.model_type, checkpoint.config["d_model"]) == ("whisper", 8)
    with pytest.raises(CheckpointError, match=r"lacks model\.safetensors"):
        _ = checkpoint.tensors
    write_safetensors(tmp_path / "model.safetensors", TENSORS)
    assert checkpoint.tensors.tensor("b", (2,)).values.tolist() == [1.5, -2.0]
    assert checkpoint.generation_config == {}
    write_json(tmp_path / "generation_config.json", {"language": "hi"})
    assert SafetensorsCheckpoint(tmp_path).generation_config == {"language": "hi"}


@pytest.mark.parametrize("config", [{}, {"model_type": None}, {"model_type": 1}])
def test_config_without_a_model_type_is_refused(tmp_path: Path, config: dict[str, object]) -> None:
    write_json(tmp_path / "config.json", config)
    with pytest.raises(CheckpointError, match="does not name a model_type"):
        SafetensorsCheckpoint(tmp_path)
