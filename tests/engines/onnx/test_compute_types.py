"""Choice of the compute type by processor and installed packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_api.engines.onnx import compute_types, openvino_encoder
from asr_api.engines.onnx.compute_types import choose_compute_type, notes
from asr_api.engines.protocol import ComputeType, EngineOptions
from asr_api.errors import SettingsError


@pytest.mark.parametrize(
    ("has_amx", "is_installed", "auto", "refusal"),
    [
        (True, True, "int8_bfloat16", ""),
        (True, False, "int8", r"needs .* -m pip install .*\[openvino\]"),
        (False, True, "int8", r"no AMX; use auto or int8\."),
        (False, False, "int8", r"no AMX; use auto or int8\."),
    ],
)
def test_auto_is_the_fastest_available(
    monkeypatch: pytest.MonkeyPatch, has_amx: bool, is_installed: bool, auto: ComputeType, refusal: str
) -> None:
    monkeypatch.setattr(compute_types, "has_bfloat16_products", lambda: has_amx)
    monkeypatch.setattr(openvino_encoder, "is_installed", lambda: is_installed)
    assert choose_compute_type("auto") == auto
    assert choose_compute_type("int8") == "int8"
    assert choose_compute_type("float32") == "float32"
    if refusal:
        with pytest.raises(SettingsError, match=refusal):
            choose_compute_type("int8_bfloat16")
    missing_package = [openvino_encoder.INSTALL in note for note in notes(EngineOptions("model", Path()))]
    assert missing_package == ([True] if has_amx and not is_installed else [])
