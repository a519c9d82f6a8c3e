"""English clips by espeak-ng, which tells where each word starts: to measure the times of words.

The library comes with the package espeakng-loader. The same sentences give the same clips every time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from asr_api.pcm import SAMPLE_RATE_HZ
from benchmarks.quality.recording import Missing, Recording, Word
from benchmarks.quality.weaving import full_scale, write_wav

GROUP = "espeak"
SENTENCES = (
    "Eleven boats left the harbour before sunrise. None of them came back until late in the evening.",
    "My sister keeps three old bicycles in the garden, and every summer she repairs one of them.",
    "Nobody expected snow in April. The roads were closed, so the children stayed at home and read.",
    "If the weather allows it, we will paint the long wooden fence behind the school on Saturday morning.",
    "The museum opens at nine. Visitors leave their coats and bags downstairs, where it is always cold.",
    "He counted the coins twice, wrote the sum into a small blue book, and put everything into a drawer.",
    "A good map shows rivers, bridges and narrow paths. A better one also shows where the water is deep.",
    "After dinner the neighbours sang quietly, told stories about the war, and forgot to look at the clock.",
)
VOICES = (b"en-us", b"en-gb", b"en-gb-x-rp", b"en-gb-scotland")  # variants of voices are not the same every time
RATES_WPM = (150, 160, 170)
RATE_HZ = 22_050  # of the synthesizer
TAIL_S = 0.5
END_OF_EVENTS, WORD = 0, 1  # types of an event
SYNCHRONOUS, BYTES_OF_UTF8, SPEECH_RATE = 2, 1, 1  # parameters of the library


class Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


@dataclass(frozen=True, slots=True)
class Speech:
    """words: with starts within the samples"""

    samples: NDArray[np.float32]
    words: tuple[Word, ...]


def espeak_recordings(folder: Path) -> list[Recording]:
    """Clips with a lead of 0.3 s and more before the first word, as WAV files in the folder. Raises Missing."""
    try:
        import espeakng_loader
    except ImportError:
        raise Missing("The set espeak needs espeak-ng: pip install espeakng-loader.") from None
    folder.mkdir(parents=True, exist_ok=True)
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Initialize(SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    return [spoken(library, folder, number) for number in range(len(SENTENCES))]


def spoken(library: ctypes.CDLL, folder: Path, number: int) -> Recording:
    library.espeak_SetVoiceByName(VOICES[number % len(VOICES)])
    library.espeak_SetParameter(SPEECH_RATE, RATES_WPM[number % len(RATES_WPM)], 0)
    speech = synthesize(library, SENTENCES[number])
    lead_s = 0.3 + 0.4 * number
    random = np.random.default_rng(number)
    samples = np.concatenate([np.zeros(samples_of(lead_s)), speech.samples, np.zeros(samples_of(TAIL_S))])
    samples += random.normal(0, 1e-4, len(samples))
    path = folder / f"espeak-{number}.wav"
    write_wav(path, samples.astype(np.float32))
    words = tuple(Word(word.start_s + lead_s, word.text) for word in speech.words)
    return Recording(GROUP, path, "en", SENTENCES[number], len(samples) / SAMPLE_RATE_HZ, words=words)


def synthesize(library: ctypes.CDLL, text: str) -> Speech:
    blocks: list[NDArray[np.int16]] = []
    words: list[Word] = []

    def receive(block: Any, num_samples: int, events: object) -> int:
        if num_samples > 0:
            blocks.append(np.ctypeslib.as_array(block, (num_samples,)).copy())
        words.extend(words_of(events, text))
        return 0

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))(
        receive
    )
    library.espeak_SetSynthCallback(callback)
    data = text.encode()
    library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, BYTES_OF_UTF8, None, None)
    library.espeak_Synchronize()
    return Speech(at_rate_of_models(np.concatenate(blocks)), tuple(words))


def words_of(events: Any, text: str) -> Iterator[Word]:
    """Of a C array of events that ends with END_OF_EVENTS; text positions count from 1."""
    for index in count():
        event = events[index]
        if event.type == END_OF_EVENTS:
            return
        if event.type == WORD:
            start = event.text_position - 1
            yield Word(event.audio_position / 1000, text[start : start + event.length])


def at_rate_of_models(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
    frame.sample_rate = RATE_HZ
    resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE_HZ)
    parts = [part.to_ndarray()[0] for given in (frame, None) for part in resampler.resample(given)]
    return full_scale(np.concatenate(parts))


def samples_of(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)
