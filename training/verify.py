"""Command: does transformers load an exported folder unchanged, and does it hear what `training.decode` hears?

    python -m training.verify --model src/asr_api/models/tiny-en samples/hello.wav

In go an exported folder and recordings (16 kHz mono wav); each is transcribed with and without timestamps.
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from training.clips import SAMPLE_RATE


def read_wav(path: Path) -> NDArray[np.float32]:
    """PCM of a 16 kHz mono 16-bit file, in [-1, 1]."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE, 1, 2):
            raise ValueError(f"{path} is not 16-bit mono at {SAMPLE_RATE} Hz; convert it first.")
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float32) / 32768


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("build/training/export"))
    parser.add_argument("recordings", type=Path, nargs="+")
    args = parser.parse_args()
    processor = WhisperProcessor.from_pretrained(args.model)
    model = WhisperForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32)
    for path in args.recordings:
        inputs = processor(read_wav(path), sampling_rate=SAMPLE_RATE, return_tensors="pt")
        timed = model.generate(inputs.input_features, return_timestamps=True)
        plain = model.generate(inputs.input_features)
        print(path)
        print("  timed", processor.decode(timed[0], decode_with_timestamps=True))
        print("  plain", processor.decode(plain[0], skip_special_tokens=True))


if __name__ == "__main__":
    main()
