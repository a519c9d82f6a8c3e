"""The model type of a checkpoint chooses the engine; a missing package is named with its remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asr_api.engines import select
from asr_api.engines.protocol import EngineOptions
from asr_api.errors import CheckpointError
from asr_api.install_hint import install_command
from tests.engines.whisper_checkpoints import SMALL_EN, write_checkpoint


def test_whisper_runs_on_onnx_and_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from asr_api.engines.protocol import EngineOptions\n"
        "from asr_api.engines.select import open_engine\n"
        "engine = open_engine(EngineOptions('any', Path(sys.argv[1]), n_slots=1, num_threads=1))\n"
        "print(engine.info.engine, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(write_checkpoint(tmp_path, SMALL_EN))]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["onnx", "False"]


def test_gpu_without_torch_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(select, "DRIVERS", (str(tmp_path),))
    monkeypatch.setattr(select, "find_spec", lambda _: None)
    engine = select.open_engine(EngineOptions("any", write_checkpoint(tmp_path, SMALL_EN), n_slots=1, num_threads=1))
    assert engine.info.engine == "onnx"
    assert install_command("cuda") in caplog.text


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_missing_package_is_named_with_its_remedy(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "find_spec", lambda name: None if name == missing else object())
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}', encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"'wav2vec2', which needs .*; run: .* -m pip install .*\[hf\]"):
        select.open_engine(EngineOptions("any", tmp_path))
