"""The model type of a checkpoint chooses the engine; a type without an engine is refused in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from asr_api.engines import select
from asr_api.engines.onnx.engine import OnnxEngine
from asr_api.engines.protocol import EngineOptions
from asr_api.engines.select import open_engine
from asr_api.errors import CheckpointError
from tests.engines.whisper_checkpoints import SMALL_EN, write_checkpoint


def options(folder: Path) -> EngineOptions:
    return EngineOptions("any", folder, n_slots=1, num_threads=1)


def write_config(folder: Path, config: dict[str, object]) -> Path:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_whisper_runs_on_onnx_and_imports_no_torch(tmp_path: Path) -> None:
    engine = open_engine(options(write_checkpoint(tmp_path / "whisper", SMALL_EN)))
    assert isinstance(engine, OnnxEngine)
    engine.close()
    code = "import sys, asr_api.engines.select, asr_api.engines.checkpoints.resolve; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_a_gpu_without_torch_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(select, "DRIVERS", (str(tmp_path),))
    monkeypatch.setattr(select, "find_spec", lambda _: None)
    engine = open_engine(options(write_checkpoint(tmp_path / "whisper", SMALL_EN)))
    assert isinstance(engine, OnnxEngine)
    engine.close()
    assert "pip install 'asr-api[cuda]'" in caplog.text


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_a_missing_package_is_named_with_its_remedy(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(CheckpointError, match=r"'wav2vec2', which needs .*; pip install 'asr-api\[hf\]'"):
        open_engine(options(write_config(tmp_path, {"model_type": "wav2vec2"})))


def test_a_checkpoint_without_a_model_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not name a model_type"):
        open_engine(options(write_config(tmp_path, {})))
