"""Long recordings with known words, and recordings without speech; a seed always gives the same recording."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from benchmarks.peers.audio import pcm as decode
from tests.product.samples import SAMPLES, sample_texts

BLOCK_S = 600


@dataclass(frozen=True)
class Recording:
    mp3: bytes
    text: str


def splice(length_s: float, seed: int) -> tuple[Pcm, str]:
    """Samples in random order with pauses of up to 3 s, and their text."""
    texts = sample_texts()
    spoken = {name: decode(SAMPLES / name) for name in texts}
    rng = random.Random(seed)
    pieces: list[Pcm] = []
    written: list[str] = []
    n_samples = 0
    while n_samples < length_s * SAMPLE_RATE_HZ:
        name = rng.choice(sorted(texts))
        pause = np.zeros(int(rng.uniform(0.0, 3.0) * SAMPLE_RATE_HZ), dtype=np.int16)
        pieces += [spoken[name], pause]
        written.append(texts[name])
        n_samples += spoken[name].size + pause.size
    return np.concatenate(pieces), " ".join(written)


def encode_mp3(pcm: Pcm, path: Path) -> bytes:
    with av.open(path, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE_HZ, layout="mono")
        stream.bit_rate = 48_000
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path.read_bytes()


def recording(folder: Path, num_blocks: int) -> Recording:
    """Blocks of ten minutes; mp3 frames may be joined as bytes."""
    blocks = [splice(BLOCK_S, seed) for seed in range(num_blocks)]
    mp3 = b"".join(encode_mp3(pcm, folder / "block.mp3") for pcm, _ in blocks)
    return Recording(mp3, " ".join(text for _, text in blocks))


def no_speech(length_s: float, seed: int) -> Pcm:
    """Silence, noises, machines, beeps, clicks and simple music in turn, a few seconds to half a minute each."""
    rng = np.random.default_rng(seed)
    pieces: list[Pcm] = []
    n_samples = 0
    while n_samples < length_s * SAMPLE_RATE_HZ:
        time_s = np.arange(int(rng.uniform(4, 30) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        kind = (_silence, _noise, _machine, _beeps, _clicks, _music)[len(pieces) % 6]
        wave = kind(rng, time_s)
        level = 10 ** (rng.uniform(-50, -3) / 20)
        pieces.append(np.round(32_767 * level * wave / max(1e-9, np.abs(wave).max())).astype(np.int16))
        n_samples += len(time_s)
    return np.concatenate(pieces)[: int(length_s * SAMPLE_RATE_HZ)]


Wave = NDArray[np.float64]


def _silence(_: np.random.Generator, time_s: Wave) -> Wave:
    return np.zeros_like(time_s)


def _noise(rng: np.random.Generator, time_s: Wave) -> Wave:
    """White to brown, steady or swelling like wind."""
    spectrum = np.fft.rfft(rng.standard_normal(len(time_s)))
    spectrum /= np.maximum(1, np.arange(len(spectrum))) ** rng.choice([0.0, 0.5, 1.0])
    swell = 1 + rng.uniform(0, 0.9) * np.sin(2 * np.pi * rng.uniform(0.05, 0.5) * time_s)
    return np.asarray(np.fft.irfft(spectrum, len(time_s)) * swell)


def _machine(rng: np.random.Generator, time_s: Wave) -> Wave:
    """A hum with overtones, like a fan or a transformer."""
    base_hz = rng.uniform(40, 240)
    return np.asarray(sum(np.sin(2 * np.pi * base_hz * n * time_s) * rng.uniform(0, 1) / n for n in range(1, 9)))


def _beeps(rng: np.random.Generator, time_s: Wave) -> Wave:
    """Two tones at once, on and off, like a telephone."""
    period_s = rng.uniform(0.2, 3)
    tones = sum(np.sin(2 * np.pi * hz * time_s) for hz in rng.uniform(300, 1700, 2))
    return np.asarray(tones * (time_s % period_s < period_s * rng.uniform(0.1, 0.8)))


def _clicks(rng: np.random.Generator, time_s: Wave) -> Wave:
    """Single clicks and knocks that ring for some milliseconds."""
    wave = np.zeros_like(time_s)
    ring = np.exp(-np.arange(800) / rng.uniform(5, 200)) * np.sin(np.arange(800) * rng.uniform(0.05, 2))
    for start in rng.integers(0, len(wave) - len(ring), int(rng.integers(3, 60))):
        wave[start : start + len(ring)] += ring
    return wave


def _music(rng: np.random.Generator, time_s: Wave) -> Wave:
    """Chords of decaying notes over a beat."""
    beat_s = 60 / rng.uniform(60, 160)
    wave = np.zeros_like(time_s)
    for start_s in np.arange(0, time_s[-1], beat_s):
        since_s = time_s - start_s
        is_on = (since_s >= 0) & (since_s < 2 * beat_s)
        for note in rng.choice([0, 3, 4, 7, 9, 12, 16, 19], 3, replace=False):
            hz = 110 * 2 ** (note / 12)
            tone = sum(np.sin(2 * np.pi * hz * n * since_s[is_on]) / n for n in range(1, 6))
            wave[is_on] += tone * np.exp(-3 * since_s[is_on] / beat_s)
    return wave
