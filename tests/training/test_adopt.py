"""An exported model that is adopted says what it said before it was put away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

BUILTIN = Path(__file__).parents[2] / "src/asr_api/models/tiny-en"


def test_the_built_in_model_comes_back_with_all_but_its_characters() -> None:
    from safetensors.torch import load_file

    from training.adopt import adopted
    from training.export import tensors
    from training.tokenizer import Vocabulary

    weights, again = load_file(BUILTIN / "model.safetensors"), tensors(adopted(BUILTIN, Vocabulary(BUILTIN)))
    assert weights.keys() == again.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(again[name].float(), tensor.float(), atol=2e-2, rtol=0, msg=name)


def test_an_export_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from training.adopt import adopted
    from training.tokenizer import Vocabulary

    weights = load_file(BUILTIN / "model.safetensors")
    del weights["model.encoder.conv1.bias"]
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(json.loads((BUILTIN / "config.json").read_text())))
    with pytest.raises(ValueError, match=r"lacks model\.encoder\.conv1\.bias"):
        adopted(tmp_path, Vocabulary(BUILTIN))
