"""Recordings with known texts: real speech in the folder that RECORDINGS names, and the samples of the repository.

RECORDINGS is read when the tests are collected, because each test has a clean environment.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from asr_api.benchmark.speech import wav_bytes
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from benchmarks.peers.audio import pcm
from benchmarks.quality.manifest import read_manifest
from benchmarks.quality.recording import Recording
from tests.product.samples import SAMPLES, sample_texts

GIVEN = os.environ.get("RECORDINGS", "")
FOLDER = Path(GIVEN).resolve()
KENNEDY = "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
FLEURS = ("fleurs-en", "fleurs-de", "fleurs-fr", "fleurs-es", "fleurs-pt")

if not GIVEN:
    _missing = "RECORDINGS is not set: the folder with speech/manifest.tsv and audio/jfk.flac"
else:
    _missing = "" if (FOLDER / "speech/manifest.tsv").is_file() else f"RECORDINGS={GIVEN} has no speech/manifest.tsv"
needs_recordings = pytest.mark.skipif(bool(_missing), reason=_missing)


def has_recordings() -> bool:
    return not _missing


@cache
def speech(*groups: str) -> list[Recording]:
    """The recordings of these sets, or of all."""
    found = read_manifest(FOLDER / "speech")
    return [recording for recording in found if not groups or recording.group in groups]


def recording(name: str) -> Recording:
    """By the name of its file, without the suffix."""
    return next(each for each in speech() if each.path.stem == name)


def kennedy() -> Recording:
    return Recording("audio", FOLDER / "audio/jfk.flac", "en", KENNEDY, 11.0)


@cache
def samples() -> list[Recording]:
    """Synthetic voices."""
    paths = {SAMPLES / name: text for name, text in sample_texts().items()}
    return [Recording("samples", path, "en", text, len(pcm(path)) / SAMPLE_RATE_HZ) for path, text in paths.items()]


def sample(name: str) -> Recording:
    return next(each for each in samples() if each.path.name == name)


def silence(length_s: float) -> Pcm:
    return np.zeros(round(length_s * SAMPLE_RATE_HZ), np.int16)


def joined(recordings: Sequence[Recording], pause_s: float) -> bytes:
    """A WAV file of one after the other, with a pause of digital silence between two."""
    pieces = [piece for each in recordings for piece in (pcm(each.path), silence(pause_s))]
    return wav_bytes(np.concatenate(pieces[:-1]))
