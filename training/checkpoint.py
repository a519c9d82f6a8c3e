"""Loads what training left, with the averaged weights: for evaluation and export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.model import ModelSize, Whisper
from training.train import CHECKPOINT


def mean_weights(weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several checkpoints' weights, by name."""
    return {name: torch.stack([each[name] for each in weights]).mean(0) for name in weights[0]}


def last_checkpoints(folder: Path, count: int) -> list[Path]:
    """The last so many that `training.train --keep` kept; where it kept none, or for 0, the one that it ended with."""
    kept = sorted(folder.glob("step*.pt"), key=lambda path: int(path.stem.removeprefix("step")))
    return (kept[-count:] if count else []) or [folder / CHECKPOINT]


def averaged_model(paths: Sequence[Path]) -> tuple[Whisper, int, float]:
    """The model with averaged weights (of several checkpoints their mean), the steps done and the minutes taken."""
    saved = [torch.load(path, map_location="cpu", weights_only=True) for path in paths]
    model = Whisper(ModelSize(**saved[0]["size"]))
    model.load_state_dict(mean_weights([each["averaged"] for each in saved]))
    last = max(saved, key=lambda each: int(each["step"]))
    return model.eval(), last["step"], last["seconds"] / 60
