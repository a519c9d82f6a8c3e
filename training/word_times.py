"""Command: how far the times of words are from the synthesiser's, through the server's engine.

    python -m training.word_times --work build/training --model build/training/export --limit 100

Only what is heard right to the letter counts: whole clips and windows, else five or more words in a row. `--reference`
transcribes the same windows with transformers on the same checkpoint and prints the errors of its word times beside
ours (pip install transformers).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import get_args

import numpy as np

from asr_api.engines.protocol import ComputeType
from asr_api.options import TranscribeOptions
from training.clips import SAMPLE_RATE, ClipStore
from training.listen import Listener
from training.windows import Wave, WindowMaker, WindowPlan

SEVERAL = WindowPlan(30_000, max_sentences=12, no_speech_share=0.0, cut_share=0.0, digits_share=0.0)
SILENCE_MS = 500
"""Before and after a single clip."""
MIN_RUN = 5
"""Words in a row that are heard right count."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word between two spaces, and when it is said."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Take:
    """A wave and its words."""

    wave: Wave
    words: Sequence[Spoken]


def clips(store: ClipStore) -> Iterator[Take]:
    """Single clips of voices that were seen, of sentences that were not."""
    silence = np.zeros(SILENCE_MS * SAMPLE_RATE // 1000, np.float32)
    for index in store.select("valid", ("espeak",)):
        clip = store.clip(index)
        wave = np.concatenate([silence, clip.pcm / np.float32(32768), silence])
        pairs = zip(clip.info.text.split(), clip.info.words_ms, strict=False)
        yield Take(wave, [Spoken(text, SILENCE_MS + start, SILENCE_MS + end) for text, (start, end) in pairs])


def windows(store: ClipStore) -> Iterator[Take]:
    """Full windows of several such clips with pauses."""
    maker, rng = WindowMaker(store, "valid", ("espeak",)), random.Random("word times")
    while True:
        window = maker.window(rng, SEVERAL)
        words: list[Spoken] = []
        for piece in (piece for sentence in window.sentences for piece in sentence.pieces):
            if not piece.text.startswith(" "):  # a mark, said within its word
                last = words.pop()
                words.append(Spoken(last.text + piece.text, last.start_ms, max(last.end_ms, piece.end_ms)))
            else:
                words.append(Spoken(piece.text.strip(), piece.start_ms, piece.end_ms))
        yield Take(window.pcm, words)


def heard(listener: Listener, takes: Sequence[Take]) -> list[list[Spoken]]:
    """By the server's engine."""
    transcripts = listener.hear([take.wave for take in takes], TranscribeOptions(words=True))
    return [
        [
            Spoken(word.text.strip(), word.start_ms, word.end_ms)
            for segment in transcript.segments
            for word in segment.words
        ]
        for transcript in transcripts
    ]


def heard_by_transformers(folder: Path, takes: Sequence[Take]) -> list[list[Spoken]]:
    """By its pipeline; a time that it leaves open is taken from its neighbour."""
    from transformers import pipeline

    recognise = pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
    found = []
    for take in takes:
        words: list[Spoken] = []
        for chunk in recognise({"raw": take.wave, "sampling_rate": SAMPLE_RATE}, return_timestamps="word")["chunks"]:
            start_s, end_s = chunk["timestamp"]
            words.append(Spoken(chunk["text"].strip(), 1000 * start_s, 1000 * (start_s if end_s is None else end_s)))
        found.append(words)
    return found


def report(name: str, takes: Sequence[Take], answers: Sequence[Sequence[Spoken]]) -> str:
    """One line of Markdown."""
    errors: list[tuple[float, float]] = []
    num_right = 0
    for take, words in zip(takes, answers, strict=True):
        said, understood = [word.text for word in take.words], [word.text for word in words]
        num_right += said == understood
        for run in SequenceMatcher(None, said, understood, autojunk=False).get_matching_blocks():
            if run.size >= MIN_RUN or said == understood:
                pairs = zip(take.words[run.a : run.a + run.size], words[run.b : run.b + run.size], strict=True)
                errors += [(ours.start_ms - real.start_ms, ours.end_ms - real.end_ms) for real, ours in pairs]
    if not errors:
        return f"| {name} | {num_right} | 0 | – | – | – | – |"
    start, end = np.abs(np.array(errors)).T
    figures = (np.median(start), np.percentile(start, 95), np.median(end), np.percentile(end, 95))
    return f"| {name} | {num_right} | {len(errors)} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/training"))
    parser.add_argument("--model", type=Path, help="an exported folder; default: export in --work")
    parser.add_argument("--limit", type=int, default=100, help="clips; a sixth as many full windows")
    parser.add_argument("--reference", action="store_true", help="transformers beside ours")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--compute-type", choices=get_args(ComputeType), default="auto")
    args = parser.parse_args()
    model = args.model or args.work / "export"
    store, listener = ClipStore(args.work / "clips"), Listener(model, args.threads, args.compute_type)
    print("| set | heard right | words | start: median, ms | 95 % | end: median, ms | 95 % |")
    print("|---|---|---|---|---|---|---|")
    for name, source, limit in (
        ("single clips", clips(store), args.limit),
        ("full windows", windows(store), args.limit // 6),
    ):
        takes = [take for take, _ in zip(source, range(limit), strict=False)]
        print(report(name, takes, heard(listener, takes)), flush=True)
        if args.reference:
            answers = heard_by_transformers(model, takes)
            print(report(f"{name}, transformers", takes, answers), flush=True)


if __name__ == "__main__":
    main()
