"""`Model`, the weights that all systems share, in one folder; other formats are converted once and kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.errors import CheckpointError
from benchmarks.quality.recording import Missing
from benchmarks.quality.transformers_folder import write_transformers_folder

CTRANSLATE2, TRANSFORMERS = "model.bin", "model.safetensors"


@dataclass(frozen=True, slots=True)
class Model:
    """folder: of CTranslate2 or of transformers; converted: where folders of the other formats are kept"""

    name: str
    folder: Path
    converted: Path

    @property
    def is_english(self) -> bool:
        """Whether it writes English only: such a model has a name that ends in ".en"."""
        return self.name.endswith(".en")


def transformers_folder(model: Model) -> Path:
    if (model.folder / TRANSFORMERS).exists():
        return model.folder
    folder = model.converted / "transformers"
    if not (folder / TRANSFORMERS).exists():
        try:
            write_transformers_folder(open_checkpoint(model.folder), folder)
        except CheckpointError as error:
            raise Missing(f"{model.folder} cannot be converted for transformers: {error}") from error
    return folder


def ctranslate2_folder(model: Model) -> Path:
    if (model.folder / CTRANSLATE2).exists():
        return model.folder
    folder = model.converted / "ctranslate2"
    if not (folder / CTRANSLATE2).exists():
        from ctranslate2.converters import TransformersConverter

        converter = TransformersConverter(str(model.folder), copy_files=["tokenizer.json"])
        converter.convert(str(folder), quantization="float16", force=True)
    return folder


def server_folder(model: Model) -> Path:
    """The folder as it is when the server can read it, else converted."""
    try:
        open_checkpoint(model.folder)
    except CheckpointError:
        return transformers_folder(model)
    return model.folder
