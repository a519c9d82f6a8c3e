"""An exported folder → the model, as far as an export tells. Knows nothing about training runs."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from training.model import ModelSize, Whisper
from training.tokenizer import Vocabulary

EMBEDDINGS = "model.decoder.embed_tokens.weight"


def size_of(config: dict[str, int], vocabulary: Vocabulary) -> ModelSize:
    """The dimensions that a config.json tells."""
    return ModelSize(
        vocabulary.size,
        vocabulary.first_timestamp,
        config["d_model"],
        config["encoder_attention_heads"],
        config["encoder_layers"],
        config["decoder_layers"],
        config["num_mel_bins"],
        config["max_source_positions"],
        config["max_target_positions"],
    )


def exported_model(folder: Path, vocabulary: Vocabulary) -> Whisper:
    """The folder's model, the map of its timestamps solved from their embeddings.

    Its character layer, which is not exported, knows nothing.
    """
    model = Whisper(size_of(json.loads((folder / "config.json").read_text()), vocabulary))
    weights = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    first = model.size.first_timestamp
    known = torch.cat([model.moments, torch.ones(len(model.moments), 1)], dim=1).double()  # the slowest are nearly one
    solved = torch.linalg.lstsq(known, weights[EMBEDDINGS][first:].double(), driver="gelsd").solution.float()
    weights |= {"timestamp_map.weight": solved[:-1].T, "timestamp_map.bias": solved[-1]}
    missing, _ = model.load_state_dict(weights, strict=False)
    if unknown := [name for name in missing if not name.startswith("characters.")]:
        raise ValueError(f"{folder} lacks {', '.join(unknown)}; give a folder that training.export made.")
    return model
