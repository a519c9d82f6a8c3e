"""Command: clips and tokenizer → a checkpoint that training goes on from and `training.export` reads.

    python -m training.train --work build/training --minutes 75

The learning rate and the curriculum follow the progress, which is the larger of steps done and minutes used.
Started again with the same work folder it resumes. The same code runs on a CPU and on a GPU.
"""

from __future__ import annotations

import argparse
import math
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import Queue
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from training.batches import CURRICULA, Batch, BatchMaker
from training.clips import ClipStore
from training.exported import exported_model
from training.logmel import LogMel
from training.losses import losses_of
from training.model import Encoder, ModelSize, Whisper
from training.muon import Muon
from training.tokenizer import Vocabulary
from training.windows import WindowMaker
from training.workers import RENDEZVOUS, Team

DECAY_FROM = 0.5
"""Progress at which the learning rate begins to fall."""
CHECKPOINT, CHECKPOINT_STEPS = "checkpoint.pt", 250
DEFAULT_MINUTES = 90.0
TAUGHT_DECODER_SHARE = 0.3
"""Of the rate: the decoder knows its language, and only follows what a taught encoder hears."""
SIZES = {
    "n_state": "--state",
    "n_head": "--heads",
    "n_encoder_layers": "--encoder-layers",
    "n_decoder_layers": "--decoder-layers",
}
"""What a new model's size is made of, and its flags."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that shapes a run but the data. It ends after so many steps or minutes, whichever come first.

    keep_steps: every so many steps a checkpoint is kept besides the last, to be averaged; 0 keeps none;
    decoder_share: of the rate, for all that is not the encoder
    """

    steps: float = math.inf
    minutes: float = math.inf
    keep_steps: int = 0
    n_positions: int = 6000
    peak_rate: float = 3e-3
    warm_up_steps: int = 200
    weight_decay: float = 0.05
    average_decay: float = 0.998
    clip_norm: float = 1.0
    seed: int = 1
    decoder_share: float = 1.0


@dataclass(slots=True)
class Run:
    """A model in training with all that is needed to go on."""

    model: Whisper
    averaged: dict[str, Tensor]
    optimizers: list[torch.optim.Optimizer]
    step: int = 0
    seconds: float = 0.0

    def progress(self, recipe: Recipe) -> float:
        """Of the training, 0 to 1."""
        return max(self.step / recipe.steps, self.seconds / 60 / recipe.minutes)


def learning_rate(recipe: Recipe, step: int, progress: float) -> float:
    """Linear warm-up, a plateau, then linearly down to 2 %."""
    warm_up = min(1.0, (step + 1) / recipe.warm_up_steps)
    decay = min(1.0, (1.0 - progress) / (1.0 - DECAY_FROM))
    return recipe.peak_rate * warm_up * max(0.02, decay)


def optimizers_for(model: Whisper, decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, which learn about twice as fast with it; AdamW for all else.

    Each has two groups: the encoder's parameters, and the others.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]

    def groups(of_matrices: bool) -> list[dict[str, Any]]:
        chosen = [(name, p) for name, p in named if (p.ndim == 2 and ".layers." in name) == of_matrices]
        of_encoder = [(name.startswith("model.encoder."), p) for name, p in chosen]
        return [{"params": [p for is_its, p in of_encoder if is_its == wanted]} for wanted in (True, False)]

    return [
        Muon(groups(of_matrices=True), weight_decay=decay),
        torch.optim.AdamW(groups(of_matrices=False), betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def start_run(size: ModelSize, recipe: Recipe, folder: Path, device: torch.device) -> Run:
    """A fresh run of this size, or the one whose checkpoint is in the folder."""
    torch.manual_seed(recipe.seed)
    path = folder / CHECKPOINT
    saved = torch.load(path, map_location=device, weights_only=True) if path.exists() else None
    if saved:
        size = ModelSize(**saved["size"])
    model = Whisper(size).to(device)
    averaged = {name: p.detach().clone() for name, p in model.state_dict().items()}
    run = Run(model, averaged, optimizers_for(model, recipe.weight_decay))
    if saved:
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(run.optimizers, saved["optimizers"], strict=bool(saved["optimizers"])):
            optimizer.load_state_dict(state)
        run.averaged, run.step, run.seconds = saved["averaged"], saved["step"], saved["seconds"]
    return run


def save_run(run: Run, folder: Path, name: str = CHECKPOINT) -> None:
    """Write the checkpoint so that a crash leaves the old one whole."""
    content = {
        "model": run.model.state_dict(),
        "averaged": run.averaged,
        "optimizers": [optimizer.state_dict() for optimizer in run.optimizers],
        "step": run.step,
        "seconds": run.seconds,
        "size": asdict(run.model.size),
    }
    torch.save(content, folder / "checkpoint.part")
    (folder / "checkpoint.part").rename(folder / name)


@torch.no_grad()
def average(run: Run, decay: float) -> None:
    """Move the averaged weights towards the present ones."""
    decay = min(decay, (run.step + 1) / (run.step + 20))
    present = run.model.state_dict()
    torch._foreach_lerp_([run.averaged[name] for name in present], list(present.values()), 1 - decay)


def train_step(run: Run, loss: Tensor, recipe: Recipe, team: Team, progress: float) -> float:
    """One step of the optimizer; returns the seconds of the run, on which the team agrees."""
    for optimizer in run.optimizers:
        optimizer.zero_grad(set_to_none=True)
        for group, share in zip(optimizer.param_groups, (1.0, recipe.decoder_share), strict=True):
            group["lr"] = share * learning_rate(recipe, run.step, progress)
    loss.backward()
    seconds = team.agree(run.model.parameters(), run.seconds)
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), recipe.clip_norm)
    for optimizer in run.optimizers:
        optimizer.step()
    if team.is_first:
        average(run, recipe.average_decay)
    return seconds


class Feeder:
    """Prepares the next batches in a thread while the model learns from the present one.

    How far the training is when a batch comes is known where steps are counted; minutes can only be guessed ahead.
    """

    def __init__(self, maker: BatchMaker, run: Run, recipe: Recipe, team: Team) -> None:
        self._maker, self._recipe, self._team, self._first = maker, recipe, team, run.step
        self._queue: Queue[Batch | Exception] = Queue(maxsize=2)
        self._progress = run.progress(recipe)
        threading.Thread(target=self._feed, daemon=True).start()

    def _feed(self) -> None:
        try:
            self._feed_on()
        except Exception as error:  # noqa: BLE001  # whatever it is, the thread that waits for batches raises it
            self._queue.put(error)

    def _feed_on(self) -> None:
        step = self._first
        while True:
            seeds = f"{self._recipe.seed}-{step}", f"{self._team.rank}"
            n_positions = self._recipe.n_positions // self._team.size
            progress = max(self._progress, step / self._recipe.steps)
            self._queue.put(self._maker.batch(seeds, progress, n_positions))
            step += 1

    def next(self, progress: float) -> Batch:
        """The next batch, when the training is as far as this; raises what went wrong in making it."""
        self._progress = progress
        batch = self._queue.get()
        if isinstance(batch, Exception):
            raise batch
        return batch


def train(
    run: Run, maker: BatchMaker, recipe: Recipe, folder: Path, team: Team, teacher: Encoder | None = None
) -> None:
    """Train until steps or minutes are used up; a checkpoint and a line of losses every now and then."""
    device = next(run.model.parameters()).device
    log_mel, feeder = LogMel(device), Feeder(maker, run, recipe, team)
    sums: dict[str, float] = {}
    last_s = time.monotonic()
    while (progress := run.progress(recipe)) < 1:
        losses = losses_of(run.model, feeder.next(progress).to(device), log_mel, teacher)
        now_s = time.monotonic()
        run.seconds, last_s = run.seconds + now_s - last_s, now_s
        run.seconds = train_step(run, losses.total(progress), recipe, team, progress)
        run.step += 1
        sums = {name: sums.get(name, 0.0) + value for name, value in losses.values().items()}
        if run.step % 50 == 0 and team.is_first:
            line = "  ".join(f"{name} {value / 50:.4f}" for name, value in sums.items())
            print(f"step {run.step}  {run.seconds / 60:.1f} min  {progress:.1%}  {line}", flush=True)
        if run.step % 50 == 0:
            sums = {}
        if run.step % CHECKPOINT_STEPS == 0 and team.is_first:
            save_run(run, folder)
        if recipe.keep_steps and run.step % recipe.keep_steps == 0 and team.is_first:
            save_run(run, folder, f"step{run.step}.pt")
    if team.is_first:
        save_run(run, folder)


def chosen_sizes(args: argparse.Namespace) -> dict[str, int]:
    """What the command line says of a new model's size."""
    return {name: getattr(args, name) for name in SIZES if getattr(args, name) is not None}


def saved_size(folder: Path) -> ModelSize | None:
    """Of the model that a run would go on with."""
    path = folder / CHECKPOINT
    return ModelSize(**torch.load(path, mmap=True, weights_only=True)["size"]) if path.exists() else None


def work(rank: int, args: argparse.Namespace) -> None:
    """What each process does."""
    team, device = Team(rank, args.processes), torch.device(args.device)
    torch.set_num_threads(args.threads)
    team.meet(args.work)
    vocabulary = Vocabulary(args.work / "tokenizer")
    size = ModelSize(vocabulary.size, vocabulary.first_timestamp, **chosen_sizes(args))
    recipe = Recipe(
        args.steps,
        args.minutes,
        args.keep,
        args.positions,
        args.rate,
        seed=args.seed,
        decoder_share=TAUGHT_DECODER_SHARE if args.teacher else 1.0,
    )
    windows = WindowMaker(ClipStore(args.work / "clips"), "train")
    prompts = (args.work / "train.txt").read_text().splitlines()
    run = start_run(size, recipe, args.work, device)
    maker = BatchMaker(windows, vocabulary, prompts, run.model.size, CURRICULA[args.curriculum])
    teacher = exported_model(args.teacher, vocabulary).model.encoder.to(device) if args.teacher else None
    train(run, maker, recipe, args.work, team, teacher)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/training"))
    parser.add_argument("--minutes", type=float, help="default: 90, or no limit with --steps")
    parser.add_argument("--steps", type=int, help="default: no limit")
    parser.add_argument("--keep", type=int, default=0, metavar="STEPS", help="keep a checkpoint, too, every so many")
    parser.add_argument("--positions", type=int, default=6000, help="encoder positions a step, over all processes")
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=Recipe().seed, help="of everything drawn; default: %(default)s")
    for name, flag in SIZES.items():
        default = ModelSize.__dataclass_fields__[name].default
        parser.add_argument(flag, dest=name, type=int, help=f"of a new model; default: {default}")
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="FOLDER",
        help="an exported model: the encoder learns to hear of any voice what this one hears of the plain voice",
    )
    parser.add_argument("--curriculum", choices=sorted(CURRICULA), default="from-nothing")
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if on_gpu else "cpu")
    parser.add_argument("--processes", type=int, default=1 if on_gpu else os.cpu_count(), help="that learn as one")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process")
    args = parser.parse_args()
    saved = saved_size(args.work)
    if saved and replace(saved, **chosen_sizes(args)) != saved:
        parser.error(f"{args.work / CHECKPOINT} is of another size, {saved}; name another --work.")
    args.minutes = args.minutes or (math.inf if args.steps else DEFAULT_MINUTES)
    args.steps = args.steps or math.inf
    (args.work / RENDEZVOUS).unlink(missing_ok=True)
    if args.processes > 1:
        spawn(work, (args,), nprocs=args.processes)
    else:
        work(0, args)


if __name__ == "__main__":
    main()
