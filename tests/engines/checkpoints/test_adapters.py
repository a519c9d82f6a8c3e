"""Adapters by language: every code of the server has a name, and only adapters in the folder are offered."""

from __future__ import annotations

from pathlib import Path

from asr_api.engines.checkpoints.adapters import ADAPTER_NAMES, find_adapters
from asr_api.text.languages import LANGUAGES


def test_every_language_has_its_own_adapter_name() -> None:
    assert set(ADAPTER_NAMES) == set(LANGUAGES)
    assert len(set(ADAPTER_NAMES.values())) == len(ADAPTER_NAMES)


def test_adapters_are_found_in_the_folder(tmp_path: Path) -> None:
    for name in ("adapter.deu.safetensors", "adapter.fra.bin", "adapter.cmn-script_simplified.safetensors"):
        (tmp_path / name).touch()
    assert find_adapters(tmp_path) == {"zh": "cmn-script_simplified", "de": "deu"}
