"""Command: sentences → spoken clips. Each shard has its own seed, so a broken run goes on where it stopped.

    python -m training.speech --work build/training --espeak 24000 --flite 10000 --digits path/to/digits
    python -m training.speech --work build/training-open --espeak 20000 --flite 6000 --parallel 16000

In go the sentence lists of `training.text`; out come the shards that `ClipStore` reads.
"""

from __future__ import annotations

import argparse
import os
import random
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.clips import Clip, ClipInfo, trimmed_clip, write_shard
from training.grammar import UNITS
from training.parallel import say_parallel
from training.synthesis import Espeak, resampled, say_with_flite
from training.voices import (
    DIGIT_SPEAKERS,
    HELD_OUT_DIGIT_SPEAKER,
    Voice,
    any_espeak,
    any_flite,
    held_out_espeak,
    reliable_espeak,
)

SHARD_CLIPS = 1000
VALID_CLIPS = 300
FAMILIES = ("espeak", "flite", "parallel")
"""Who can speak the training text."""

ESPEAK_VOICES: dict[str, Callable[[random.Random], Voice]] = {
    "any": any_espeak,
    "held out": held_out_espeak,
    "reliable": reliable_espeak,
}


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One shard: who speaks, for which split, which sentences."""

    name: str
    family: str
    split: str
    sentences: list[str]
    voices: str = "any"


def spoken(plan: ShardPlan) -> Iterator[Clip]:
    """The clips of a synthetic shard, each by a voice drawn from the shard's own seed."""
    rng = random.Random(plan.name)
    if plan.family == "espeak":
        espeak = Espeak()
        for text in plan.sentences:
            yield espeak.say(text, ESPEAK_VOICES[plan.voices](rng), plan.split)
    elif plan.family == "parallel":
        for text in plan.sentences:
            yield from say_parallel(text, rng, plan.split)
    else:
        for text in plan.sentences:
            yield say_with_flite(text, any_flite(rng, plan.voices == "held out"), plan.split)


def recorded_digits(folder: Path) -> Iterator[Clip]:
    """The recordings `{digit}_{speaker}_{take}.wav`, a clip each; windows put strings together."""
    for path in sorted(folder.glob("*.wav")):
        digit, speaker, _ = path.stem.split("_")
        if speaker not in (*DIGIT_SPEAKERS, HELD_OUT_DIGIT_SPEAKER):
            continue
        with wave.open(str(path)) as file:
            samples, rate = (
                np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16),
                file.getframerate(),
            )
        split = "unseen_speaker" if speaker == HELD_OUT_DIGIT_SPEAKER else "train"
        yield trimmed_clip(ClipInfo(UNITS[int(digit)], "digits", speaker, split, []), resampled(samples, rate))


def evaluation_plans(kind: str, texts: list[str]) -> list[ShardPlan]:
    """The evaluation sets of one kind of text, every one with its own sentences; none if there are none."""
    sets = (
        ("valid", "espeak", "valid", "any"),
        ("valid", "flite", "valid", "any"),
        ("unseen", "espeak", "unseen_voice", "held out"),
        ("unseen", "flite", "unseen_voice", "held out"),
        ("reliable", "espeak", "reliable", "reliable"),
    )
    found = []
    for number, (name, family, split, voices) in enumerate(sets):
        chosen = texts[number * VALID_CLIPS : (number + 1) * VALID_CLIPS]
        found.append(ShardPlan(f"{kind}{name}-{family}", family, f"{kind}{split}", chosen, voices))
    return [plan for plan in found if plan.sentences]


def training_plans(texts: list[str], num_clips: dict[str, int]) -> list[ShardPlan]:
    """The training shards of so many clips of each family, the families taking turns."""
    waiting, found = iter(texts), []
    for number in range(max(num_clips.values()) // SHARD_CLIPS):
        for family, count in num_clips.items():
            if number < count // SHARD_CLIPS:
                chosen = [next(waiting) for _ in range(SHARD_CLIPS)]
                found.append(ShardPlan(f"train-{family}-{number:03}", family, "train", chosen))
    return found


def make_shard(folder: Path, plan: ShardPlan) -> str:
    """Speak one shard unless it is there already."""
    if not (folder / f"{plan.name}.jsonl").exists():
        write_shard(folder, plan.name, spoken(plan))
    return plan.name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/training"))
    parser.add_argument("--espeak", type=int, default=24_000, help="clips by espeak-ng voices, in thousands")
    parser.add_argument("--flite", type=int, default=10_000, help="clips by flite voices, in thousands")
    parser.add_argument("--parallel", type=int, default=0, help="sentences that four voices say at once, in thousands")
    parser.add_argument("--digits", type=Path, help="folder of the Free Spoken Digit Dataset's recordings")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    args = parser.parse_args()
    num_clips = {family: getattr(args, family) for family in FAMILIES}
    if any(count % SHARD_CLIPS for count in num_clips.values()):
        parser.error(f"clips are made {SHARD_CLIPS} at a time; give whole thousands.")
    folder = args.work / "clips"
    if args.digits and not (folder / "digits.jsonl").exists():
        write_shard(folder, "digits", recorded_digits(args.digits))
    train, valid = ((args.work / f"{split}.txt").read_text().splitlines() for split in ("train", "valid"))
    if sum(num_clips.values()) > len(train):
        parser.error(
            f"{sum(num_clips.values())} clips are wanted of {len(train)} sentences; ask training.text for more."
        )
    plans = evaluation_plans("", valid)
    if (args.work / "open_valid.txt").exists():
        plans += evaluation_plans("open_", (args.work / "open_valid.txt").read_text().splitlines())
    plans += training_plans(train, num_clips)
    with ProcessPoolExecutor(args.processes, max_tasks_per_child=1) as pool:
        jobs = [pool.submit(make_shard, folder, plan) for plan in plans]
        for job in jobs:
            print(job.result(), flush=True)


if __name__ == "__main__":
    main()
