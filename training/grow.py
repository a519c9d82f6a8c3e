"""Command: a trained checkpoint → one of more layers and another vocabulary, from which training starts anew.

    python -m training.grow --of build/training --work build/training-open --encoder-layers 8 --decoder-layers 4

New layers add nothing at first, so the grown model hears what the old one heard; a new entry of the vocabulary starts
as the mean of its old parts. In go two work folders, the new one with its tokenizer; out comes its checkpoint.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from training.checkpoint import averaged_model
from training.model import Attention, Layer, ModelSize, Whisper
from training.tokenizer import Vocabulary
from training.train import CHECKPOINT, Recipe, Run, optimizers_for, save_run


def places(n_old: int, n_new: int) -> list[int]:
    """Where the old layers stand among the new: evenly spread, the first first and the last last."""
    return [round(number * (n_new - 1) / max(1, n_old - 1)) for number in range(n_old)]


def silence(layer: Layer) -> None:
    """Make a layer add nothing to what passes by it."""
    for linear in (layer.fc2, *(part.out_proj for part in layer.modules() if isinstance(part, Attention))):
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)


def rows(old: Tensor, old_vocabulary: Vocabulary, vocabulary: Vocabulary) -> Tensor:
    """Embeddings of all tokens of the new vocabulary, timestamps last and untouched."""
    text = [old[old_vocabulary.word(vocabulary.text([number]))].mean(0) for number in range(vocabulary.end)]
    return torch.cat([torch.stack(text), old[old_vocabulary.end :]])


def grown(old: Whisper, embeddings: Tensor, size: ModelSize) -> Whisper:
    """The old model's weights in a model of this size, which must be as wide."""
    model = Whisper(size)
    kept = {name: value for name, value in old.state_dict().items() if ".layers." not in name}
    kept["model.decoder.embed_tokens.weight"] = embeddings
    model.load_state_dict(kept, strict=False)
    for ours, theirs in ((model.model.encoder, old.model.encoder), (model.model.decoder, old.model.decoder)):
        old_places = places(len(theirs.blocks), len(ours.blocks))
        for place, layer in enumerate(ours.blocks):
            if place in old_places:
                layer.load_state_dict(theirs.blocks[old_places.index(place)].state_dict())
            else:
                silence(layer)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", type=Path, default=Path("build/training"), help="work folder of the trained model")
    parser.add_argument("--work", type=Path, required=True, help="work folder of the new one")
    parser.add_argument("--encoder-layers", type=int, default=8)
    parser.add_argument("--decoder-layers", type=int, default=4)
    args = parser.parse_args()
    old, _, _ = averaged_model([args.of / CHECKPOINT])
    old_vocabulary, vocabulary = (Vocabulary(folder / "tokenizer") for folder in (args.of, args.work))
    size = replace(
        old.size,
        n_vocab=vocabulary.size,
        first_timestamp=vocabulary.first_timestamp,
        n_encoder_layers=args.encoder_layers,
        n_decoder_layers=args.decoder_layers,
    )
    embeddings = rows(old.state_dict()["model.decoder.embed_tokens.weight"], old_vocabulary, vocabulary)
    model = grown(old, embeddings, size)
    averaged = {name: value.detach().clone() for name, value in model.state_dict().items()}
    save_run(Run(model, averaged, optimizers_for(model, Recipe().weight_decay)), args.work)
    print(f"{args.work}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} million parameters, {size}")


if __name__ == "__main__":
    main()
