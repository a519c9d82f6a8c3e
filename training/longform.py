"""Command: a long recording of known text, for tests of completeness: sentences of one plain voice with pauses.

    python -m training.longform --hours 3 --seed 1 --to build/longform

Out come longform-3h-1.mp3 with a .txt of the words and a .tsv of every sentence's start and end in ms. The sentences
are made once and spliced anew for each seed. With --model only those are used that this model hears rightly alone and
among others: then what is missing in a long transcript was lost by the server. Needs espeak-ng and ffmpeg.
"""

from __future__ import annotations

import argparse
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.clips import SAMPLE_RATE, Clip, Pcm
from training.grammar import sentences
from training.listen import Listener, text_of
from training.synthesis import Espeak
from training.voices import plain_espeak

SENTENCE_SEED = 7
MAX_WORDS = 9
"""Short sentences, so that every few seconds there is a pause in which a window can end."""
SAMPLES_PER_MS = SAMPLE_RATE // 1000
NUM_CHECKS, WINDOW_CLIPS = 9, 7
"""A sentence is known if it is heard rightly once alone and eight times in windows of seven sentences."""
LEAD = np.zeros(SAMPLE_RATE // 4, np.int16)


@dataclass(frozen=True, slots=True)
class LongForm:
    """What to make; pauses in ms between sentences."""

    hours: float
    seed: int
    voice: str
    rate: int
    num_sentences: int
    pause_ms: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence of the recording and its time."""

    start_ms: int
    end_ms: int
    text: str


def distinct_clips(plan: LongForm, model: Path | None) -> list[Clip]:
    """The same clips for every seed and length; only those a trained model knows well, if one is given."""
    texts = list(dict.fromkeys(sentences(SENTENCE_SEED, 8 * plan.num_sentences, max_words=MAX_WORDS)))
    espeak, voice = Espeak(), plain_espeak(plan.voice, plan.rate)
    clips = [espeak.say(text, voice, "longform") for text in texts[: plan.num_sentences]]
    return clips if model is None else known_clips(clips, plan, Listener(model))


def known_clips(clips: list[Clip], plan: LongForm, listener: Listener) -> list[Clip]:
    """The clips that the trained model repeats word for word, alone and then among others in several full windows."""
    for seed in range(NUM_CHECKS):
        groups = list(grouped(clips, 1 if seed == 0 else WINDOW_CLIPS, seed))
        rng = random.Random(seed)
        windows = [
            np.concatenate([LEAD, *(part for clip in group for part in (clip.pcm, pause_of(plan, rng)))])
            for group in groups
        ]
        transcripts = listener.hear([window.astype(np.float32) / np.float32(32768) for window in windows])
        clips = [
            clip
            for group, heard in zip(groups, transcripts, strict=True)
            for clip in group
            if clip.info.text in text_of(heard)
        ]
    return clips


def grouped(clips: list[Clip], size: int, seed: int) -> Iterator[list[Clip]]:
    """The clips in random groups."""
    order = random.Random(seed).sample(clips, len(clips))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def pause_of(plan: LongForm, rng: random.Random) -> Pcm:
    """A pause between sentences."""
    return np.zeros(rng.randint(*plan.pause_ms) * SAMPLES_PER_MS, np.int16)


def spliced(clips: list[Clip], plan: LongForm) -> Iterator[tuple[Pcm, Said | None]]:
    """Pauses (None) and sentences in turn, until the hours are full; no sentence twice in a row."""
    rng = random.Random(plan.seed)
    end_sample, at, last = round(plan.hours * 3600 * SAMPLE_RATE), 0, -1
    while True:
        pause = pause_of(plan, rng)
        choice = rng.randrange(len(clips))
        choice = (choice + 1) % len(clips) if choice == last else choice
        clip, last = clips[choice], choice
        if at + len(pause) + len(clip.pcm) + plan.pause_ms[0] * SAMPLES_PER_MS > end_sample:
            yield np.zeros(end_sample - at, np.int16), None
            return
        yield pause, None
        at += len(pause)
        start_ms, end_ms = at // SAMPLES_PER_MS, (at + len(clip.pcm)) // SAMPLES_PER_MS
        yield clip.pcm, Said(start_ms, end_ms, clip.info.text)
        at += len(clip.pcm)


def write_longform(plan: LongForm, path: Path, model: Path | None = None) -> int:
    """Encode while splicing, so that memory stays small; returns the number of sentences."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = ["-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", "-"]
    command = ["ffmpeg", "-v", "error", "-y", *source, "-b:a", "64k", str(path)]
    said: list[Said] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for pcm, sentence in spliced(distinct_clips(plan, model), plan):
            encoder.stdin.write(pcm.astype("<i2").tobytes())
            said += [sentence] if sentence else []
    if encoder.returncode:
        raise RuntimeError(f"ffmpeg ended with {encoder.returncode} while writing {path}.")
    path.with_suffix(".txt").write_text("\n".join(sentence.text for sentence in said) + "\n")
    rows = (f"{sentence.start_ms}\t{sentence.end_ms}\t{sentence.text}" for sentence in said)
    path.with_suffix(".tsv").write_text("\n".join(rows) + "\n")
    return len(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--voice", default="en-us", help="a plain voice of espeak-ng")
    parser.add_argument("--rate", type=int, default=160, help="words a minute")
    parser.add_argument("--sentences", type=int, default=300, help="distinct sentences")
    parser.add_argument("--min-pause", type=int, default=200, help="ms")
    parser.add_argument("--max-pause", type=int, default=3000, help="ms")
    parser.add_argument("--format", default="mp3", help="any ending that ffmpeg knows")
    parser.add_argument("--model", type=Path, help="exported folder of the model that decides which sentences are used")
    parser.add_argument("--to", type=Path, default=Path("build/longform"))
    args = parser.parse_args()
    plan = LongForm(args.hours, args.seed, args.voice, args.rate, args.sentences, (args.min_pause, args.max_pause))
    path = args.to / f"longform-{args.hours:g}h-{args.seed}.{args.format}"
    print(f"{path}: {write_longform(plan, path, args.model)} sentences")


if __name__ == "__main__":
    main()
