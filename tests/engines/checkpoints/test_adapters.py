"""Adapters by language: every code of the server has a name, and only what is in the folder is offered."""

from __future__ import annotations

from pathlib import Path

from asr_api.engines.checkpoints.adapters import ADAPTER_NAMES, find_adapters
from asr_api.text.languages import LANGUAGES


def test_every_language_has_a_name_of_its_own() -> None:
    assert set(ADAPTER_NAMES) == set(LANGUAGES)
    assert len(set(ADAPTER_NAMES.values())) == len(ADAPTER_NAMES)


def test_the_folder_says_which_there_are(tmp_path: Path) -> None:
    for name in ("adapter.deu.safetensors", "adapter.fra.bin", "adapter.cmn-script_simplified.safetensors"):
        (tmp_path / name).touch()
    assert find_adapters(tmp_path) == {"zh": "cmn-script_simplified", "de": "deu"}
