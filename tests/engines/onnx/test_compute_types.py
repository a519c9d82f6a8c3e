"""Choice of the compute type by processor and installed packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_api.engines.onnx import compute_types, openvino_encoder
from asr_api.engines.onnx.compute_types import choose_compute_type, notes
from asr_api.engines.protocol import ComputeType, EngineOptions
from asr_api.errors import SettingsError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    has_amx, is_installed = request.param
    monkeypatch.setattr(compute_types, "has_bfloat16_products", lambda: has_amx)
    monkeypatch.setattr(openvino_encoder, "is_installed", lambda: is_installed)


@pytest.mark.parametrize(
    ("machine", "auto"),
    [((True, True), "int8_bfloat16"), ((True, False), "int8"), ((False, True), "int8"), ((False, False), "int8")],
    indirect=["machine"],
)
@pytest.mark.usefixtures("machine")
def test_auto_is_the_fastest_available(auto: ComputeType) -> None:
    assert choose_compute_type("auto") == auto
    assert choose_compute_type("int8") == "int8"
    assert choose_compute_type("float32") == "float32"


@pytest.mark.parametrize("machine", [(False, True)], indirect=True)
@pytest.mark.usefixtures("machine")
def test_bfloat16_needs_amx() -> None:
    with pytest.raises(SettingsError, match=r"no AMX; use auto or int8\."):
        choose_compute_type("int8_bfloat16")


@pytest.mark.parametrize("machine", [(True, False)], indirect=True)
@pytest.mark.usefixtures("machine")
def test_bfloat16_needs_openvino() -> None:
    with pytest.raises(SettingsError, match=r"needs pip install 'asr-api\[openvino\]'"):
        choose_compute_type("int8_bfloat16")
    options = EngineOptions("model", Path())
    assert ["asr-api[openvino]" in note for note in notes(options)] == [True]
