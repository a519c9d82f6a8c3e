"""Command: how well a checkpoint does, set by set, as Markdown and JSON.

    python -m training.evaluate --work build/training --model build/training/export --limit 300

Word and character error rates on held-out sentences by kind of voice, words invented where nobody speaks, and how
far the sentence times are from the synthesiser's. Case and punctuation don't count; every set uses full 30 s windows
and is heard by the server's engine in one pass. The result is kept in the work folder unless `--sets` chooses.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

import jiwer

from asr_api.engines.protocol import ComputeType
from asr_api.transcript import WindowTranscript
from training.clips import SAMPLE_RATE, ClipStore
from training.listen import Listener, text_of
from training.open_text import words
from training.sounds import no_speech, with_noise
from training.windows import Window, WindowMaker, WindowPlan

WINDOW_SAMPLES = 30 * SAMPLE_RATE
NOISE_SNR_DB = 10.0
SILENT_WINDOWS = 20
"""Ten minutes in windows of 30 s."""
SINGLE = WindowPlan(30_000, max_sentences=1, no_speech_share=0.0, cut_share=0.0, max_pause_ms=900, digit_speeds=(1, 1))
SEVERAL = WindowPlan(30_000, max_sentences=12, no_speech_share=0.0, cut_share=0.0, digits_share=0.0)


@dataclass(frozen=True, slots=True)
class TestSet:
    """Where the speech comes from and what is made of it."""

    name: str
    split: str
    family: str
    plan: WindowPlan
    is_noisy: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """Error rates in percent over `num_words` words; time_error_ms: median distance of sentence starts and ends."""

    name: str
    num_windows: int
    num_words: int
    word_errors: float
    character_errors: float
    time_error_ms: float | None


CLOSED_SETS = (
    TestSet("plain espeak-ng voices, one sentence", "reliable", "espeak", SINGLE),
    TestSet("plain espeak-ng voices, full windows", "reliable", "espeak", SEVERAL),
    TestSet("espeak-ng, voices seen", "valid", "espeak", SINGLE),
    TestSet("espeak-ng, voices seen, full windows", "valid", "espeak", SEVERAL),
    TestSet("espeak-ng, voices seen, noise at 10 dB", "valid", "espeak", SINGLE, is_noisy=True),
    TestSet("espeak-ng, variants never seen", "unseen_voice", "espeak", SINGLE),
    TestSet("flite, voices seen", "valid", "flite", SINGLE),
    TestSet("flite, voice never seen (rms)", "unseen_voice", "flite", SINGLE),
    TestSet("flite, voice never seen, full windows", "unseen_voice", "flite", SEVERAL),
    TestSet("recorded digit strings, speaker never seen (lucas)", "unseen_speaker", "digits", SINGLE),
)
OPEN_SETS = tuple(
    replace(test, name=f"open: {test.name}", split=f"open_{test.split}")
    for test in CLOSED_SETS
    if test.family != "digits"
)
"""The same voices with sentences of an open vocabulary, where `training.text` was given some."""


def windows_of(test: TestSet, store: ClipStore, limit: int) -> Iterator[Window]:
    """The windows of a set, the same every time."""
    maker, rng = WindowMaker(store, test.split, (test.family,)), random.Random(test.name)
    for _ in range(limit if test.plan.max_sentences == 1 else max(1, limit // 6)):
        window = maker.window(rng, test.plan)
        if test.is_noisy:
            window = replace(window, pcm=with_noise(rng, window.pcm, NOISE_SNR_DB))
        yield window


def time_errors(window: Window, transcript: WindowTranscript) -> list[float]:
    """Distances in ms of starts and ends, where the number of sentences is right."""
    if len(window.sentences) != len(transcript.segments):
        return []
    pairs = zip(window.sentences, transcript.segments, strict=True)
    return [
        abs(a - b) for said, heard in pairs for a, b in ((said.start_ms, heard.start_ms), (said.end_ms, heard.end_ms))
    ]


def score(test: TestSet, store: ClipStore, listener: Listener, limit: int, show: bool) -> Score:
    """Transcribe one set and count."""
    windows = list(windows_of(test, store, limit))
    transcripts = listener.hear([window.pcm for window in windows])
    said = [" ".join(w for sentence in window.sentences for w in words(sentence.text)) for window in windows]
    understood = [" ".join(words(text_of(transcript))) for transcript in transcripts]
    if show:
        for reference, answer in zip(said, understood, strict=True):
            if reference != answer:
                print(f"  said {reference}\n  read {answer}")
    errors = [e for pair in zip(windows, transcripts, strict=True) for e in time_errors(*pair)]
    return Score(
        test.name,
        len(windows),
        sum(len(text.split()) for text in said),
        100 * jiwer.wer(said, understood),
        100 * jiwer.cer(said, understood),
        statistics.median(errors) if errors else None,
    )


def invented_words(listener: Listener) -> int:
    """Words heard in ten minutes of silence, noise, tones and clicks."""
    rng = random.Random("nobody speaks")
    waves = [no_speech(rng, WINDOW_SAMPLES) for _ in range(SILENT_WINDOWS)]
    return sum(len(words(text_of(transcript))) for transcript in listener.hear(waves))


def table(scores: list[Score]) -> str:
    """The scores as Markdown."""
    lines = ["| set | words | WER % | CER % | median sentence time error, ms |", "|---|---|---|---|---|"]
    for s in scores:
        time = "–" if s.time_error_ms is None else f"{s.time_error_ms:.0f}"
        lines.append(f"| {s.name} | {s.num_words} | {s.word_errors:.1f} | {s.character_errors:.1f} | {time} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/training"))
    parser.add_argument("--model", type=Path, help="an exported folder; default: export in --work")
    parser.add_argument("--limit", type=int, default=300, help="windows a set; a sixth as many full ones")
    parser.add_argument("--sets", default="", help="only sets whose name contains this")
    parser.add_argument("--show", action="store_true", help="print the windows with errors")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--compute-type", choices=get_args(ComputeType), default="auto")
    parser.add_argument("--beam-size", type=int, default=1, help="1: greedy, as the server is unless told otherwise")
    args = parser.parse_args()
    listener = Listener(args.model or args.work / "export", args.threads, args.compute_type, args.beam_size)
    store = ClipStore(args.work / "clips")
    scores = []
    for test in (*CLOSED_SETS, *OPEN_SETS):
        if args.sets in test.name and store.select(test.split, (test.family,)):
            scores.append(score(test, store, listener, args.limit, args.show))
            print(table(scores[-1:]).splitlines()[-1], flush=True)
    invented = invented_words(listener)
    print(f"\n{table(scores)}\n\nWords invented in 10 minutes without speech: {invented}")
    if args.sets:
        return
    result = {"invented_words": invented, "scores": [asdict(s) for s in scores]}
    (args.work / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
