"""Tensors of safetensors files, whole or in shards, and a checkpoint that consists of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.safetensors import SafetensorsCheckpoint, SafetensorsReader
from asr_api.errors import CheckpointError
from tests.engines.whisper_checkpoints import write_safetensors

TENSORS = {
    "model.encoder.a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([1.5, -2.0], np.float32),
}


def write_shards(folder: Path) -> None:
    for name, values in TENSORS.items():
        write_safetensors(folder / f"{name}.safetensors", {name: values})
    weight_map = {name: f"{name}.safetensors" for name in TENSORS}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")


def test_tensors_are_views_by_name_without_the_model_prefix(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", TENSORS)
    reader = SafetensorsReader(tmp_path)
    first = reader.tensor("encoder.a", (2, 3))
    assert first.dtype == "F32"
    np.testing.assert_array_equal(first.values, TENSORS["model.encoder.a"])
    assert not first.values.flags.owndata
    np.testing.assert_array_equal(reader.tensor("b", (2,)).values, TENSORS["b"])


def test_shards_are_one_checkpoint(tmp_path: Path) -> None:
    write_shards(tmp_path)
    reader = SafetensorsReader(tmp_path)
    np.testing.assert_array_equal(reader.tensor("encoder.a", (2, 3)).values, TENSORS["model.encoder.a"])
    np.testing.assert_array_equal(reader.tensor("b", (2,)).values, TENSORS["b"])


def test_values_of_16_bits_are_given_as_stored(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", TENSORS, "float16")
    half = SafetensorsReader(tmp_path).tensor("b", (2,))
    assert (half.dtype, half.values.tolist()) == ("F16", [1.5, -2.0])
    write_safetensors(tmp_path / "model.safetensors", TENSORS, "bfloat16")
    bfloat16 = SafetensorsReader(tmp_path).tensor("b", (2,))
    assert (bfloat16.dtype, bfloat16.values.tolist()) == ("BF16", [0x3FC0, 0xC000])


def test_tensors_that_are_not_aligned_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, TENSORS)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    path.write_bytes((length + 3).to_bytes(8, "little") + data[8 : 8 + length] + b"   " + data[8 + length :])
    np.testing.assert_array_equal(SafetensorsReader(tmp_path).tensor("b", (2,)).values, TENSORS["b"])


@pytest.mark.parametrize(
    ("name", "dims", "named"),
    [("c", (1,), "no tensor c"), ("b", (3,), r"\(2,\).*\(3,\)"), ("encoder.a", (6,), "encoder.a")],
)
def test_a_missing_or_misshapen_tensor_is_named(tmp_path: Path, name: str, dims: tuple[int, ...], named: str) -> None:
    write_safetensors(tmp_path / "model.safetensors", TENSORS)
    with pytest.raises(CheckpointError, match=named):
        SafetensorsReader(tmp_path).tensor(name, dims)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_a_pickle_is_never_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(CheckpointError, match=r"pickled.*convert them to safetensors"):
        SafetensorsReader(tmp_path)


def test_a_missing_shard_is_named_and_an_index_does_not_lead_elsewhere(tmp_path: Path) -> None:
    outside, folder = tmp_path / "b.safetensors", tmp_path / "folder"
    folder.mkdir()
    write_safetensors(outside, TENSORS)
    index = {"weight_map": {"b": "../b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"lacks b\.safetensors"):
        SafetensorsReader(folder)


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
    ],
)
def test_a_header_that_does_not_fit_the_file_is_refused(tmp_path: Path, header: object) -> None:
    text = header if isinstance(header, str) else json.dumps(header)
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text.encode() + bytes(8))
    with pytest.raises(CheckpointError, match="cut off or not a safetensors file"):
        SafetensorsReader(tmp_path)


@pytest.mark.parametrize("data", [b"", b"1234567", bytes(100), b"\xff" * 100])
def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="cut off or not a safetensors file"):
        SafetensorsReader(tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_numbers_are_float32_whatever_is_stored(tmp_path: Path, dtype: str) -> None:
    write_safetensors(tmp_path / "model.safetensors", TENSORS, dtype)
    numbers = SafetensorsReader(tmp_path).numbers("b", (2,))
    assert (numbers.dtype, numbers.tolist()) == (np.float32, [1.5, -2.0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"b": np.array([1, value], np.float32)})
    with pytest.raises(CheckpointError, match="b contains NaN or infinity"):
        SafetensorsReader(tmp_path).numbers("b", (2,))


def test_tensors_stay_valid_when_their_memory_is_given_back(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", TENSORS)
    reader = SafetensorsReader(tmp_path)
    before = reader.tensor("b", (2,))
    reader.forget()
    assert before.values.tolist() == reader.tensor("b", (2,)).values.tolist() == [1.5, -2.0]


# -- the checkpoint ------------------------------------------------------------------------------------------------


def test_a_checkpoint_reads_its_weights_only_when_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "whisper", "d_model": 8}', encoding="utf-8")
    checkpoint = SafetensorsCheckpoint(tmp_path)
    assert (checkpoint.model_type, checkpoint.config["d_model"]) == ("whisper", 8)
    assert checkpoint.generation_config == {}
    with pytest.raises(CheckpointError, match=r"lacks model\.safetensors"):
        _ = checkpoint.tensors
    write_safetensors(tmp_path / "model.safetensors", TENSORS)
    assert checkpoint.tensors.tensor("b", (2,)).values.tolist() == [1.5, -2.0]


def test_a_checkpoint_has_its_generation_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}', encoding="utf-8")
    (tmp_path / "generation_config.json").write_text('{"language": "hi"}', encoding="utf-8")
    assert SafetensorsCheckpoint(tmp_path).generation_config == {"language": "hi"}


@pytest.mark.parametrize("config", ["{}", '{"model_type": null}', '{"model_type": 1}'])
def test_a_configuration_without_a_model_type_is_refused(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(CheckpointError, match="does not name a model_type"):
        SafetensorsCheckpoint(tmp_path)
