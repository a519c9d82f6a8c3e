"""Command: how well a checkpoint does, set by set, as Markdown and JSON.

    python -m training.evaluate --work build/training --limit 300

Word and character error rates on held-out sentences by kind of voice, words invented where nobody speaks, and how
far the sentence times are from the synthesiser's. Case and punctuation don't count; every set uses full 30 s windows.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import jiwer
import torch

from training.checkpoint import averaged_model
from training.clips import ClipStore
from training.decode import WINDOW_SAMPLES, Heard, Transcriber
from training.sounds import no_speech, with_noise
from training.text import words
from training.tokenizer import Vocabulary
from training.windows import Window, WindowMaker, WindowPlan

BATCH_WINDOWS = 12
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
    """Error rates in percent over `num_words` words; times_ms: median distance of sentence starts and ends."""

    name: str
    num_windows: int
    num_words: int
    word_errors: float
    character_errors: float
    time_error_ms: float | None


TEST_SETS = (
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


def windows_of(test: TestSet, store: ClipStore, limit: int) -> Iterator[Window]:
    """The windows of a set, the same every time."""
    maker, rng = WindowMaker(store, test.split, (test.family,)), random.Random(test.name)
    for _ in range(limit if test.plan.max_sentences == 1 else max(1, limit // 6)):
        window = maker.window(rng, test.plan)
        if test.is_noisy:
            window = Window(with_noise(rng, window.pcm, NOISE_SNR_DB), window.sentences)
        yield window


def heard(windows: list[Window], transcriber: Transcriber) -> list[Heard]:
    """Transcripts of all windows, some at a time."""
    found: list[Heard] = []
    for start in range(0, len(windows), BATCH_WINDOWS):
        found += transcriber.transcripts([window.pcm for window in windows[start : start + BATCH_WINDOWS]])
    return found


def time_errors(window: Window, transcript: Heard) -> list[float]:
    """Distances in ms of starts and ends, where the number of sentences is right."""
    if len(window.sentences) != len(transcript.times_ms):
        return []
    pairs = zip(window.sentences, transcript.times_ms, strict=True)
    return [
        abs(a - b) for sentence, (start, end) in pairs for a, b in ((sentence.start_ms, start), (sentence.end_ms, end))
    ]


def score(test: TestSet, store: ClipStore, transcriber: Transcriber, limit: int, show: bool) -> Score:
    """Transcribe one set and count."""
    windows = list(windows_of(test, store, limit))
    transcripts = heard(windows, transcriber)
    said = [" ".join(w for sentence in window.sentences for w in words(sentence.text)) for window in windows]
    understood = [" ".join(words(transcript.text)) for transcript in transcripts]
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


def invented_words(transcriber: Transcriber) -> tuple[int, int]:
    """Words heard in ten minutes of silence, noise, tones and clicks: with Whisper's no-speech rule, and without."""
    rng = random.Random("nobody speaks")
    windows = [Window(no_speech(rng, WINDOW_SAMPLES), []) for _ in range(SILENT_WINDOWS)]
    transcripts = heard(windows, transcriber)
    kept = sum(len(words(t.text)) for t in transcripts if not t.is_silence)
    return kept, sum(len(words(t.text)) for t in transcripts)


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
    parser.add_argument("--limit", type=int, default=300, help="windows a set")
    parser.add_argument("--sets", default="", help="only sets whose name contains this")
    parser.add_argument("--show", action="store_true", help="print the windows with errors")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, steps, minutes = averaged_model(args.work)
    transcriber = Transcriber(model, Vocabulary(args.work / "tokenizer"))
    store = ClipStore(args.work / "clips")
    scores = []
    for test in TEST_SETS:
        if args.sets in test.name and store.select(test.split, (test.family,)):
            scores.append(score(test, store, transcriber, args.limit, args.show))
            print(table(scores[-1:]).splitlines()[-1], flush=True)
    kept, raw = invented_words(transcriber)
    print(f"\nAfter {steps} steps, {minutes:.0f} minutes:\n\n{table(scores)}\n")
    print(f"Words invented in 10 minutes without speech: {kept} ({raw} before the no-speech rule)")
    result = {
        "steps": steps,
        "minutes": minutes,
        "invented_words": kept,
        "scores": [asdict(s) for s in scores],
    }
    (args.work / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
