from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.safetensors import Weights
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
    weights = Weights(tmp_path)
    first = weights.tensor("encoder.a", (2, 3))
    assert first.dtype == "F32"
    np.testing.assert_array_equal(first.values, TENSORS["model.encoder.a"])
    assert not first.values.flags.owndata
    np.testing.assert_array_equal(weights.tensor("b", (2,)).values, TENSORS["b"])


def test_shards_are_one_checkpoint(tmp_path: Path) -> None:
    write_shards(tmp_path)
    weights = Weights(tmp_path)
    np.testing.assert_array_equal(weights.tensor("encoder.a", (2, 3)).values, TENSORS["model.encoder.a"])
    np.testing.assert_array_equal(weights.tensor("b", (2,)).values, TENSORS["b"])


def test_16_bits_stay_16_bits(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", TENSORS, "float16")
    half = Weights(tmp_path).tensor("b", (2,))
    assert (half.dtype, half.values.tolist()) == ("F16", [1.5, -2.0])
    write_safetensors(tmp_path / "model.safetensors", TENSORS, "bfloat16")
    brain = Weights(tmp_path).tensor("b", (2,))
    assert (brain.dtype, brain.values.tolist()) == ("BF16", [0x3FC0, 0xC000])


def test_a_header_of_odd_length_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, TENSORS)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    path.write_bytes((length + 3).to_bytes(8, "little") + data[8 : 8 + length] + b"   " + data[8 + length :])
    np.testing.assert_array_equal(Weights(tmp_path).tensor("b", (2,)).values, TENSORS["b"])


@pytest.mark.parametrize(
    ("name", "dims", "named"),
    [("c", (1,), "no tensor c"), ("b", (3,), r"\(2,\).*\(3,\)"), ("encoder.a", (6,), "encoder.a")],
)
def test_a_missing_or_misshapen_tensor_is_named(tmp_path: Path, name: str, dims: tuple[int, ...], named: str) -> None:
    write_safetensors(tmp_path / "model.safetensors", TENSORS)
    with pytest.raises(CheckpointError, match=named):
        Weights(tmp_path).tensor(name, dims)


@pytest.mark.parametrize("left", ["pytorch_model.bin", "model.pt"])
def test_a_pickle_is_never_opened(tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(CheckpointError, match=r"pickled.*convert them to safetensors"):
        Weights(tmp_path)


def test_a_missing_shard_is_named_and_an_index_does_not_lead_elsewhere(tmp_path: Path) -> None:
    outside, folder = tmp_path / "b.safetensors", tmp_path / "folder"
    folder.mkdir()
    write_safetensors(outside, TENSORS)
    index = {"weight_map": {"b": "../b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"lacks b\.safetensors"):
        Weights(folder)


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
def test_a_lying_header_is_refused(tmp_path: Path, header: object) -> None:
    text = header if isinstance(header, str) else json.dumps(header)
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text.encode() + bytes(8))
    with pytest.raises(CheckpointError, match="cut off or no safetensors"):
        Weights(tmp_path)


@pytest.mark.parametrize("data", [b"", b"1234567", bytes(100), b"\xff" * 100])
def test_what_is_no_safetensors_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="cut off or no safetensors"):
        Weights(tmp_path)
