"""Picks the reader for the file format of a checkpoint. So far there is one format, safetensors."""

from __future__ import annotations

from pathlib import Path

from asr_api.engines.checkpoints.checkpoint import Checkpoint
from asr_api.engines.checkpoints.safetensors import SafetensorsCheckpoint


def open_checkpoint(folder: Path) -> Checkpoint:
    """Reads the configuration only. Raises CheckpointError when it is missing or does not name a model type."""
    return SafetensorsCheckpoint(folder)
