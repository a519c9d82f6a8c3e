"""An exported model that is adopted says what it said before it was put away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

BUILTIN = Path(__file__).parents[2] / "src/asr_api/models/tiny-en"


def test_the_built_in_model_comes_back_with_all_but_its_characters() -> None:
    from safetensors.torch import load_file

    from training.export import tensors
    from training.exported import exported_model
    from training.tokenizer import Vocabulary

    weights, again = load_file(BUILTIN / "model.safetensors"), tensors(exported_model(BUILTIN, Vocabulary(BUILTIN)))
    assert weights.keys() == again.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(again[name].float(), tensor.float(), atol=2e-2, rtol=2**-10, msg=name)


def test_an_export_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from training.exported import exported_model
    from training.tokenizer import Vocabulary

    weights = load_file(BUILTIN / "model.safetensors")
    del weights["model.encoder.conv1.bias"]
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(json.loads((BUILTIN / "config.json").read_text())))
    with pytest.raises(ValueError, match=r"lacks model\.encoder\.conv1\.bias"):
        exported_model(tmp_path, Vocabulary(BUILTIN))


def test_a_checkpoint_that_is_there_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from training.adopt import main

    (tmp_path / "checkpoint.pt").write_bytes(b"a week of training")
    monkeypatch.setattr("sys.argv", ["adopt", "--model", str(BUILTIN), "--work", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert "would be lost; move it away" in capsys.readouterr().err
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"a week of training"
    assert not (tmp_path / "tokenizer").exists()
