"""Text to speech with espeak-ng (its library, in this process) and flite (its command).

In go a voice and a text, out comes a clip. espeak-ng tells where each word begins, so its clips carry word times;
flite's don't. Both are Debian packages; where the library is elsewhere, set ESPEAK_LIBRARY to its path.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import subprocess
import tempfile
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from training.clips import SAMPLE_RATE, Clip, ClipInfo, Pcm, trimmed_clip
from training.voices import Voice

ESPEAK_SYNCHRONOUS, ESPEAK_UTF8 = 2, 1
ESPEAK_RATE, ESPEAK_PITCH = 1, 3
ESPEAK_WORD_EVENT = 1


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def resampled(samples: np.ndarray, rate: int) -> Pcm:
    """int16 PCM at 16 kHz from PCM at another rate."""
    if rate != SAMPLE_RATE:
        divisor = math.gcd(rate, SAMPLE_RATE)
        samples = resample_poly(samples.astype(np.float32), SAMPLE_RATE // divisor, rate // divisor)
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


class Espeak:
    """libespeak-ng in retrieval mode; one instance a process, for it keeps global state."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ.get("ESPEAK_LIBRARY", "libespeak-ng.so.1"))
        self._rate = self._library.espeak_Initialize(ESPEAK_SYNCHRONOUS, 0, None, 0)
        if self._rate <= 0:
            raise RuntimeError("espeak-ng did not start; is the package espeak-ng-data installed?")
        self._blocks: list[bytes] = []
        self._starts_ms: dict[int, int] = {}
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        if samples and count > 0:
            self._blocks.append(ctypes.string_at(samples, count * 2))
        position = 0
        while events[position].type:
            if events[position].type == ESPEAK_WORD_EVENT:
                self._starts_ms[events[position].text_position - 1] = events[position].audio_position
            position += 1
        return 0

    def say(self, text: str, voice: Voice, split: str) -> Clip:
        """The spoken text with word times, without silence at its ends."""
        if self._library.espeak_SetVoiceByName(voice.name.encode()):
            raise ValueError(f"espeak-ng has no voice {voice.name!r}; see `espeak-ng --voices=en`.")
        self._library.espeak_SetParameter(ESPEAK_RATE, voice.rate, 0)
        self._library.espeak_SetParameter(ESPEAK_PITCH, voice.pitch, 0)
        self._blocks, self._starts_ms = [], {}
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, ESPEAK_UTF8, None, None)
        pcm = resampled(np.frombuffer(b"".join(self._blocks), dtype=np.int16), self._rate)
        info = ClipInfo(text, "espeak", voice.name, split, self._words_ms(text, len(pcm) * 1000 // SAMPLE_RATE))
        return trimmed_clip(info, pcm)

    def _words_ms(self, text: str, end_ms: int) -> list[list[int]]:
        """(start, end) of each word: a word ends where the next begins.

        espeak-ng speaks some small words in one go ("of the") and marks only the first: the others get their
        share of the time by their letters.
        """
        places = [match.start() for match in re.finditer(r"\S+", text)]
        known = [place for place in places if place in self._starts_ms]
        if not known or known[0] != places[0]:
            return []
        marks = [*known, len(text) + 1]
        times = [*(self._starts_ms[place] for place in known), end_ms]
        starts = [float(time) for time in np.interp([*places, len(text) + 1], marks, times)]
        return [[round(start), round(end)] for start, end in pairwise(starts)]


def say_with_flite(text: str, voice: Voice, split: str) -> Clip:
    """The spoken text without word times and without silence at its ends."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        options = [
            "--setf",
            f"duration_stretch={voice.rate / 100}",
            "--setf",
            f"f0_shift={voice.pitch / 100}",
        ]
        command = ["flite", "-voice", voice.name, *options, "-t", text, "-o", str(path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        with wave.open(str(path)) as file:
            samples, rate = (
                np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16),
                file.getframerate(),
            )
    return trimmed_clip(ClipInfo(text, "flite", voice.name, split, []), resampled(samples, rate))
