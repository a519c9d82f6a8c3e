"""Command: an exported model → a checkpoint from which training goes on, as if its run had never been put away.

    python -m training.adopt --model src/asr_api/models/tiny-en --work build/training-open

An export lacks what only training needs: the character layer, which is learned anew while all else is held still, and
the optimizers, which begin afresh. In go the folder, and a work folder with text and clips; out come its tokenizer and
checkpoint.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

from training.batches import CURRICULA, BatchMaker
from training.clips import ClipStore
from training.export import TOKENIZER_FILES
from training.exported import exported_model
from training.logmel import LogMel
from training.losses import character_loss
from training.model import Whisper
from training.tokenizer import Vocabulary
from training.train import CHECKPOINT, Run, save_run
from training.windows import WindowMaker

CHARACTER_STEPS, CHARACTER_RATE, CHARACTER_POSITIONS = 400, 1e-2, 2000


def learn_characters(model: Whisper, maker: BatchMaker, steps: int) -> float:
    """Teach the character layer what the encoder hears; returns the loss of the last batch."""
    log_mel = LogMel(torch.device("cpu"))
    optimizer = torch.optim.AdamW(model.characters.parameters(), lr=CHARACTER_RATE)
    loss = torch.tensor(0.0)
    for step in range(steps):
        batch = maker.batch((f"adopt-{step}", "0"), 0.0, CHARACTER_POSITIONS)
        with torch.no_grad():
            audio = model.model.encoder(log_mel(batch.pcm))
        loss = character_loss(model.characters(audio), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = CHARACTER_RATE * (1 - step / steps)
    return float(loss.detach())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="an exported folder")
    parser.add_argument("--work", type=Path, required=True, help="a work folder with text and clips")
    args = parser.parse_args()
    if (args.work / CHECKPOINT).exists():
        parser.error(f"{args.work / CHECKPOINT} would be lost; move it away or name another --work.")
    (args.work / "tokenizer").mkdir(exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(args.model / name, args.work / "tokenizer" / name)
    vocabulary = Vocabulary(args.work / "tokenizer")
    model = exported_model(args.model, vocabulary)
    prompts = (args.work / "train.txt").read_text().splitlines()
    windows = WindowMaker(ClipStore(args.work / "clips"), "train")
    maker = BatchMaker(windows, vocabulary, prompts, model.size, CURRICULA["grown"])
    loss = learn_characters(model, maker, CHARACTER_STEPS)
    averaged = {name: value.detach().clone() for name, value in model.state_dict().items()}
    save_run(Run(model, averaged, optimizers=[]), args.work)
    print(f"{args.work}: {model.size}; a loss of {loss:.2f} a character")


if __name__ == "__main__":
    main()
