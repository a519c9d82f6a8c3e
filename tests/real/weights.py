"""The real weights as checkpoints: as the packages hold them, and as a folder of transformers."""

from __future__ import annotations

from pathlib import Path

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.packages import InstalledFiles, find_installed, packages_of
from benchmarks.quality.transformers_folder import write_transformers_folder


def installed_files(model_id: str) -> InstalledFiles:
    """Fails where the package is not installed: a suite that needs weights must not pass without them."""
    found = next(filter(None, map(find_installed, packages_of(model_id))), None)
    assert found, f"the weights of {model_id} are not installed; scripts/test -m real installs them"
    return found


def transformers_copy(model_id: str, folder: Path) -> Path:
    """The same weights as float32 in safetensors, with what transformers' generate needs to know about them."""
    files = installed_files(model_id)
    write_transformers_folder(open_checkpoint(files.folder, weight_files(files)), folder)
    return folder


def weight_files(files: InstalledFiles) -> tuple[Path, ...]:
    """As the engine wants them: none where model.bin is in the folder of the configuration."""
    return () if (files.folder / "model.bin") in files.weight_files else files.weight_files
