"""Loads what training left, with the averaged weights: for evaluation and export."""

from __future__ import annotations

from pathlib import Path

import torch

from training.model import ModelSize, Whisper
from training.train import CHECKPOINT


def averaged_model(folder: Path) -> tuple[Whisper, int, float]:
    """The model with averaged weights, the steps done and the minutes taken."""
    saved = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    model = Whisper(ModelSize(**saved["size"]))
    model.load_state_dict(saved["averaged"])
    return model.eval(), saved["step"], saved["seconds"] / 60
