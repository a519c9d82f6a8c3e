"""A checkpoint that cannot be served is refused with one sentence; no pickle is loaded, no foreign code runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from asr_api.engines.checkpoints.completeness import missing_files
from asr_api.engines.hf.loading import load_model
from asr_api.errors import CheckpointError
from tests.engines.hf.hf_checkpoints import WAVES, write_waves
from tests.engines.whisper_checkpoints import change_json

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "checkpoint").mkdir()
    return write_waves(tmp_path / "checkpoint")


@pytest.mark.parametrize("model_type", ["bert", "voxtral", "whisper_tts", "pop2piano"])
def test_unsupported_type_is_named(model_type: str, folder: Path) -> None:
    change_json(folder / "config.json", model_type=model_type)
    with pytest.raises(CheckpointError, match=f"'{model_type}'"):
        load_model(folder)


def test_checkpoint_without_a_head_is_refused(folder: Path) -> None:
    transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**WAVES)).save_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"cannot transcribe: it lacks lm_head"):
        load_model(folder)


def test_pickle_is_never_opened(folder: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "sprung",)

    (folder / "model.safetensors").unlink()
    torch.save(Trap(), folder / "pytorch_model.bin")
    assert missing_files(folder) == ["model.safetensors"]
    with pytest.raises(CheckpointError, match="cannot be read by transformers"):
        load_model(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("model_type", ["my-own-model", "wav2vec2"])
def test_code_of_a_checkpoint_never_runs(model_type: str, folder: Path, tmp_path: Path) -> None:
    (folder / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n", encoding="utf-8")
    code = {"AutoConfig": "trap.Config", "AutoModelForCTC": "trap.Model"}
    change_json(folder / "config.json", model_type=model_type, auto_map=code)
    if model_type == "wav2vec2":  # transformers has code of its own for it
        load_model(folder)
    else:
        with pytest.raises(CheckpointError, match="needs code from its repository, which this server never runs"):
            load_model(folder)
    assert not (tmp_path / "sprung").exists()


def test_other_sampling_rate_is_refused(folder: Path) -> None:
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(folder)
    with pytest.raises(CheckpointError, match="audio of 8000 Hz"):
        load_model(folder)


@pytest.mark.parametrize("file", ["vocab.json", "preprocessor_config.json", "model.safetensors"])
def test_broken_part_is_named(file: str, folder: Path) -> None:
    (folder / file).write_bytes(b"{broken")
    part = {"vocab.json": "tokenizer", "model.safetensors": "model"}.get(file, file)
    with pytest.raises(CheckpointError, match=f"The (checkpoint's )?{part}"):
        load_model(folder)


def test_missing_package_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def need(*_: object, **__: object) -> None:
        raise ImportError("\nThisTokenizer requires the Piece library but it was not found. Read on\nand on.\n")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", need)
    with pytest.raises(CheckpointError, match=r"requires the Piece library .*; run: .* -m pip install .*\[hf\]"):
        load_model(folder)


def test_unused_language_model_is_noted(folder: Path) -> None:
    (folder / "alphabet.json").write_text("{}", encoding="utf-8")
    (note,) = load_model(folder).notes
    assert "language model is not used" in note
