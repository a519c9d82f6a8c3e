"""Folders and files of other formats are named for what they are, with a remedy that helps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from asr_api.engines.checkpoints.foreign_formats import describe_foreign_format, describe_foreign_names
from asr_api.engines.checkpoints.resolve import resolve_checkpoint
from asr_api.errors import CheckpointError
from tests.engines.checkpoints.fake_hub import WHOLE, write_files

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 151061672\n"
NO_WEIGHTS = {name: WHOLE[name] for name in ("config.json", "tokenizer.json")}
ADAPTER = {"adapter_config.json": b'{"base_model_name_or_path": "openai/whisper-small"}'}
TRAINED = {**WHOLE, "optimizer.pt": b"", "trainer_state.json": b"{}"}


def refused(model_id: Path | str) -> str:
    """The error of a start with this MODEL_ID."""
    with pytest.raises(CheckpointError) as caught:
        resolve_checkpoint(str(model_id), revision=None, cache_dir=Path("/nowhere"))
    message = str(caught.value)
    assert f"MODEL_ID={model_id} " in message
    assert message.endswith(".")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("files", "what", "remedy"),
    [
        ({}, "is an empty folder", "fetch"),
        (ADAPTER, "adapter of PEFT of openai/whisper-small", "merge_and_unload(), then save_pretrained"),
        ({"adapter_config.json": b"[", **NO_WEIGHTS}, "adapter of PEFT, not a whole checkpoint", "merge_and_unload()"),
        ({"ggml-small-q5_1.bin": b""}, "whisper.cpp (GGML) (ggml-small-q5_1.bin)", "MODEL_ID=openai/whisper-small,"),
        ({"ggml-mine.bin": b""}, "whisper.cpp", "choose a checkpoint in safetensors"),
        ({"model.gguf": b"GGUF"}, "whisper.cpp", "choose a checkpoint in safetensors"),
        ({"weights.bin": b"lmgg\0\0"}, "whisper.cpp", "choose a checkpoint in safetensors"),
        ({**NO_WEIGHTS, "pytorch_model.bin": b"PK"}, "pickled weights", "from_pretrained(FOLDER).save_pretrained"),
        ({**NO_WEIGHTS, "pytorch_model.bin.index.json": b"{}"}, "pickled weights", "convert them once"),
        ({"large-v3-turbo.pt": b"PK"}, "pickled weights of OpenAI's", "MODEL_ID=openai/whisper-large-v3-turbo,"),
        ({"best.ckpt": b"PK"}, "pickled weights", "convert_openai_to_hf"),
        ({**NO_WEIGHTS, "encoder_model.onnx": b""}, "an export to ONNX", "name the checkpoint that was exported"),
        ({**NO_WEIGHTS, "openvino_encoder_model.xml": b""}, "an export to OpenVINO", "that was exported"),
        ({"config.json": b"{}", "weights.npz": b""}, "MLX", "choose a checkpoint in safetensors"),
        ({"config.json": b"{}", "weights.safetensors": b""}, "MLX", "choose a checkpoint in safetensors"),
        ({**NO_WEIGHTS, "tf_model.h5": b""}, "TensorFlow", "choose a checkpoint in safetensors"),
        ({**NO_WEIGHTS, "flax_model.msgpack": b""}, "Flax", "choose a checkpoint in safetensors"),
        ({"parakeet.nemo": b""}, "NeMo", "choose a checkpoint in safetensors"),
        ({"AudioEncoder.mlmodelc": b""}, "Core ML", "choose a checkpoint in safetensors"),
        ({**WHOLE, "model.safetensors": POINTER}, "Git LFS in place of model.safetensors", "git lfs pull"),
        ({**NO_WEIGHTS, "pytorch_model.bin": POINTER}, "Git LFS in place of pytorch_model.bin", "git lfs pull"),
        ({name: data for name, data in TRAINED.items() if name != "tokenizer.json"}, "training", "copy config.json"),
        # What is unknown, or only lacks a file, is described by what it lacks.
        ({**NO_WEIGHTS, "readme.md": b""}, "lacks model.safetensors", "fetch it again"),
        ({"config.json": b"{}", "model.safetensors": b"", "model.onnx": b""}, "lacks tokenizer.json", "fetch it again"),
    ],
)
def test_folder_is_named_for_what_it_is(tmp_path: Path, files: Mapping[str, bytes], what: str, remedy: str) -> None:
    message = refused(write_files(tmp_path / "model", dict(files)))
    assert what in message
    assert remedy in message


def test_folder_of_checkpoints_names_them_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for steps in (500, 1000, 10_000):
        write_files(tmp_path / f"checkpoint-{steps}", TRAINED)
    write_files(tmp_path / "runs", {"events.out": b""})
    message = refused(tmp_path)
    assert "(checkpoint-500, checkpoint-1000, checkpoint-10000)" in message
    assert f"such as MODEL_ID={tmp_path}/checkpoint-10000." in message
    for number in range(20):
        write_files(tmp_path / f"checkpoint-{number}", WHOLE)
    assert "checkpoint-4 and 18 more);" in refused(tmp_path)


def test_cache_folder_of_the_hub_leads_to_its_snapshot(tmp_path: Path) -> None:
    snapshot = write_files(tmp_path / "models--some--model" / "snapshots" / "0123abc", WHOLE)
    assert f"such as MODEL_ID={snapshot}." in refused(tmp_path / "models--some--model")


@pytest.mark.parametrize(
    ("name", "content", "what", "remedy"),
    [
        ("model.safetensors", b"\0" * 9, "is a file, and a checkpoint is a folder", "name its folder, MODEL_ID={}"),
        ("model.bin", b"\6\0\0\0", "is a file, and a checkpoint is a folder", "name its folder, MODEL_ID={}"),
        ("model.bin", b"lmgg", "whisper.cpp (GGML)", "choose a checkpoint in safetensors"),
        ("ggml-base.en.bin", b"lmgg", "whisper.cpp (GGML)", "set MODEL_ID=openai/whisper-base.en,"),
        ("base.pt", b"PK", "pickled weights of OpenAI's", "set MODEL_ID=openai/whisper-base,"),
        ("pytorch_model.bin", b"PK", "pickled weights", "convert them once"),
        ("model.safetensors", POINTER, "pointer of Git LFS", "git lfs pull, and name its folder, MODEL_ID={}"),
        ("model.nemo", b"", "an archive of NeMo", "choose a checkpoint in safetensors"),
    ],
)
def test_file_is_named_for_what_it_is(tmp_path: Path, name: str, content: bytes, what: str, remedy: str) -> None:
    message = refused(write_files(tmp_path, {name: content}) / name)
    assert what in message
    assert remedy.format(tmp_path) in message


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["config.json", "onnx/encoder_model.onnx"], "ONNX"),
        (["ggml-tiny.bin", "README.md"], "whisper.cpp"),
        (["adapter_config.json", "adapter_model.safetensors"], "PEFT"),
        (["config.json", "pytorch_model-00001-of-00002.bin", "model.safetensors"], None),
        (["config.json", "pytorch_model.bin", "model.safetensors.index.json"], None),
        (["README.md", "data/train.parquet"], None),
    ],
)
def test_names_of_a_repository(names: list[str], what: str | None) -> None:
    described = describe_foreign_names(names)
    assert described is None if what is None else what in str(described)


def test_folder_that_cannot_be_listed_is_not_described(tmp_path: Path) -> None:
    assert describe_foreign_format(tmp_path / "gone") is None


def test_base_model_of_an_adapter_is_text(tmp_path: Path) -> None:
    for base in (1, "", "x" * 300):
        write_files(tmp_path, {"adapter_config.json": json.dumps({"base_model_name_or_path": base}).encode()})
        assert "an adapter of PEFT, not a whole" in str(describe_foreign_format(tmp_path))
