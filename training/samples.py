"""Command: the short recordings of `samples/`, one container each, with their texts in transcripts.tsv.

    python -m training.samples --to samples

In go the sentences below; out come files by plain espeak-ng voices. Needs espeak-ng and the ffmpeg command.
"""

from __future__ import annotations

import argparse
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.clips import SAMPLE_RATE
from training.synthesis import Espeak
from training.voices import plain_espeak

EDGE_MS = 400


@dataclass(frozen=True, slots=True)
class Sample:
    """A file, who speaks, what is said, the pauses between sentences in ms, and ffmpeg's options for the container."""

    name: str
    voice: str
    rate: int
    sentences: tuple[str, ...]
    pauses_ms: tuple[int, ...]
    options: str


SAMPLES = (
    Sample("hello.wav", "en-us", 160, ("Hello world.", "It is half past seven."), (700,), ""),
    Sample(
        "timer.mp3", "en-us", 160, ("Set a timer for twenty three minutes.", "Thank you very much."), (600,), "-b:a 48k"
    ),
    Sample(
        "dates.ogg",
        "en",
        160,
        ("The meeting is on Monday.", "See you next Friday."),
        (900,),
        "-c:a libvorbis -ar 44100",
    ),
    Sample("digits.opus", "en-us", 150, ("My number is five five zero one nine two.",), (), "-c:a libopus -b:a 32k"),
    Sample(
        "money.webm",
        "en",
        150,
        ("How much does it cost?", "It costs twelve dollars and fifty cents."),
        (1200,),
        "-c:a libopus -ar 48000 -ac 2 -b:a 48k",
    ),
    Sample("code.flac", "en-us", 170, ("This is alpha bravo seven.", "Can you hear me?"), (800,), "-ar 22050"),
    Sample(
        "weather.m4a",
        "en",
        160,
        ("What is the weather in London?", "It is cold today."),
        (1000,),
        "-c:a aac -b:a 48k",
    ),
    Sample(
        "film.mp4",
        "en-us",
        160,
        ("Turn off the light in the kitchen.", "Play some jazz."),
        (700,),
        "-c:v libx264 -pix_fmt yuv420p -c:a aac -b:a 64k",
    ),
    Sample("number.aiff", "en", 160, ("The answer is four hundred and twenty three.",), (), "-ar 16000"),
    Sample(
        "minute.mp3",
        "en-us",
        155,
        (
            "Good morning.",
            "Today is Thursday the twenty first of November.",
            "It is quarter past nine.",
            "The temperature is fifteen degrees.",
            "It will be sunny tomorrow.",
            "Wake me up at six forty five.",
            "We are closed on Saturday.",
            "Thank you very much.",
            "The train to London leaves at noon.",
            "The ticket is thirty four dollars.",
            "My name is Peter.",
            "Turn right at the next light.",
            "Open the front door.",
            "Dinner is ready.",
            "This is a test.",
            "The party starts at half past seven.",
            "Good night.",
        ),
        (500, 2400, 300, 800, 2500, 600, 450, 2400, 350, 900, 3000, 700, 400, 1200, 1500, 900),
        "-b:a 16k",
    ),
)


def spoken(sample: Sample, espeak: Espeak) -> bytes:
    """PCM of the sentences with their pauses and a little silence at both ends."""
    edge = np.zeros(EDGE_MS * SAMPLE_RATE // 1000, np.int16)
    parts = [edge]
    for text, pause_ms in zip(sample.sentences, (*sample.pauses_ms, 0), strict=True):
        clip = espeak.say(text, plain_espeak(sample.voice, sample.rate), "samples")
        parts += [clip.pcm, np.zeros(pause_ms * SAMPLE_RATE // 1000, np.int16)]
    return np.concatenate([*parts, edge]).astype("<i2").tobytes()


def write_sample(sample: Sample, espeak: Espeak, folder: Path) -> None:
    """Encode one file; a film gets a plain moving picture."""
    pcm = spoken(sample, espeak)
    length_s = len(pcm) / 2 / SAMPLE_RATE
    picture = f"-f lavfi -t {length_s} -i testsrc=size=160x120:rate=5" if sample.name.endswith(".mp4") else ""
    sound = f"-f s16le -ar {SAMPLE_RATE} -ac 1 -i -"
    command = ["ffmpeg", "-v", "error", "-y", *picture.split(), *sound.split(), *sample.options.split()]
    quiet = ["-map_metadata", "-1", "-fflags", "+bitexact", str(folder / sample.name)]
    subprocess.run([*command, *quiet], input=pcm, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path("samples"))
    args = parser.parse_args()
    args.to.mkdir(parents=True, exist_ok=True)
    espeak = Espeak()
    for sample in SAMPLES:
        write_sample(sample, espeak, args.to)
    rows = [f"{sample.name}\t{' '.join(sample.sentences)}" for sample in SAMPLES]
    (args.to / "transcripts.tsv").write_text("\n".join(["file\ttext", *rows]) + "\n")


if __name__ == "__main__":
    main()
