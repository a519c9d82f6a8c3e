"""Picks the reader for the file format of a checkpoint: safetensors, or CTranslate2's model.bin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asr_api.engines.checkpoints.checkpoint import Checkpoint
from asr_api.engines.checkpoints.completeness import is_ctranslate2
from asr_api.engines.checkpoints.ctranslate2.ctranslate2_checkpoint import Ctranslate2Checkpoint
from asr_api.engines.checkpoints.safetensors import SafetensorsCheckpoint


def open_checkpoint(folder: Path, weight_files: Sequence[Path] = ()) -> Checkpoint:
    """Reads the configuration and headers only. Raises CheckpointError when they are missing or cannot be read.

    weight_files: parts of a model.bin that is not in the folder
    """
    if weight_files or is_ctranslate2(folder):
        return Ctranslate2Checkpoint(folder, weight_files)
    return SafetensorsCheckpoint(folder)
