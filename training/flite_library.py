"""flite's statistical voices (its library, in this process): text → what the voice predicts → sound.

`say_with_flite` of synthesis.py asks the program for a finished recording; here the prediction can be changed before
it becomes sound. These voices predict, every 5 ms, a pitch, a spectrum (mel-cepstrum, MCEPS coefficients) and how
voiced five bands are; a sentence is a row of states, three to a phone. Knows nothing about who should speak.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from training.clips import Pcm
from training.mceps import NUM_MCEPS

PITCH = 0
MCEPS = slice(2, 2 + 2 * NUM_MCEPS, 2)
"""Columns of a prediction: each value is followed by its standard deviation."""
COARSEST = 20
"""flite always makes a sound at once; this makes the one that nobody hears cheap."""


class _Track(ctypes.Structure):
    """`cst_track` of cst_track.h."""

    _fields_ = [
        ("type", ctypes.c_char_p),
        ("num_frames", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("times", ctypes.POINTER(ctypes.c_float)),
        ("frames", ctypes.POINTER(ctypes.POINTER(ctypes.c_float))),
    ]


class _Wave(ctypes.Structure):
    """`cst_wave` of cst_wave.h."""

    _fields_ = [
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]


_Pair = ctypes.c_void_p * 2
UtteranceFunction = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
"""A step of the synthesis: takes an utterance, changes it and gives it back."""


class _Model(ctypes.Structure):
    """`cst_cg_db` of cst_cg.h: all that makes a statistical voice; only some of it is changed here."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("types", ctypes.c_void_p),
        ("num_types", ctypes.c_int),
        ("sample_rate", ctypes.c_int),
        ("f0_mean", ctypes.c_float),
        ("f0_stddev", ctypes.c_float),
        ("num_f0_models", ctypes.c_int),
        ("f0_trees", ctypes.c_void_p),
        ("num_param_models", ctypes.c_int),
        ("param_trees", ctypes.c_void_p),
        ("spamf0_trees", _Pair),
        ("num_channels", ctypes.c_void_p),
        ("num_frames", ctypes.c_void_p),
        ("model_vectors", ctypes.c_void_p),
        ("spamf0_sizes", ctypes.c_int * 2),
        ("spamf0_vectors", ctypes.c_void_p),
        ("vector_coding", ctypes.c_void_p * 3),
        ("model_shape", ctypes.c_int),
        ("frame_advance", ctypes.c_float),
        ("num_dur_models", ctypes.c_int),
        ("dur_models", _Pair),
        ("phone_states", ctypes.c_void_p),
        ("do_mlpg", ctypes.c_int),
        ("dynwin", ctypes.c_void_p),
        ("dynwinsize", ctypes.c_int),
        ("mlsa_alpha", ctypes.c_float),
        ("mlsa_beta", ctypes.c_float),
        ("multimodel", ctypes.c_int),
        ("mixed_excitation", ctypes.c_int),
        ("excitation_sizes", ctypes.c_int * 2),
        ("excitation_filters", ctypes.c_void_p),
        ("spamf0", ctypes.c_int),
        ("gain", ctypes.c_float),
        ("graphemes", ctypes.c_void_p * 3),
        ("freeable", ctypes.c_int),
    ]


_SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "flite_init": (ctypes.c_int, ()),
    "flite_synth_text": (ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_void_p)),
    "delete_utterance": (None, (ctypes.c_void_p,)),
    "feat_val": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    "feat_set_int": (None, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)),
    "feat_set_float": (None, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float)),
    "feat_set": (None, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)),
    "cg_db_val": (ctypes.c_void_p, (ctypes.POINTER(_Model),)),
    "val_track": (ctypes.POINTER(_Track), (ctypes.c_void_p,)),
    "utt_relation": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    "utt_wave": (ctypes.POINTER(_Wave), (ctypes.c_void_p,)),
    "uttfunc_val": (ctypes.c_void_p, (UtteranceFunction,)),
    "relation_head": (ctypes.c_void_p, (ctypes.c_void_p,)),
    "item_next": (ctypes.c_void_p, (ctypes.c_void_p,)),
    "item_feat_string": (ctypes.c_char_p, (ctypes.c_void_p, ctypes.c_char_p)),
    "item_set_float": (None, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float)),
    "mlpg": (ctypes.POINTER(_Track), (ctypes.POINTER(_Track), ctypes.POINTER(_Model))),
    "mlsa_resynthesis": (
        ctypes.POINTER(_Wave),
        (
            ctypes.POINTER(_Track),
            ctypes.POINTER(_Track),
            ctypes.POINTER(_Model),
            ctypes.c_void_p,
            ctypes.c_int,
        ),
    ),
    "delete_track": (None, (ctypes.POINTER(_Track),)),
    "delete_wave": (None, (ctypes.POINTER(_Wave),)),
}


@cache
def flite() -> ctypes.CDLL:
    """libflite with the types of what is used; its voices look for its symbols."""
    try:
        library = ctypes.CDLL("libflite.so.1", ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise RuntimeError(f"flite's library did not load ({error}); on Debian: apt install flite") from error
    for part in ("cmulex", "usenglish"):
        ctypes.CDLL(f"libflite_{part}.so.1", ctypes.RTLD_GLOBAL)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.flite_init()
    return library


def features_of(thing: int, place: int) -> int:
    """The pointer to the features inside a voice or an utterance."""
    found: int = ctypes.cast(thing, ctypes.POINTER(ctypes.c_void_p))[place]
    return found


def items(utterance: int, relation: bytes) -> Iterator[int]:
    """What an utterance has of one kind, in order: its phones are `Segment`, its frames `mcep`."""
    item = flite().relation_head(flite().utt_relation(utterance, relation))
    while item:
        yield item
        item = flite().item_next(item)


def name_of(item: int) -> str:
    """Of a phone, or the state of a frame."""
    name: bytes = flite().item_feat_string(item, b"name")
    return name.decode()


def registered(name: str) -> tuple[ctypes.CDLL, int]:
    """The library of one of flite's American voices and the voice itself."""
    library = ctypes.CDLL(f"libflite_cmu_us_{name}.so.1", ctypes.RTLD_GLOBAL)
    register = getattr(library, f"register_cmu_us_{name}")
    register.restype, register.argtypes = ctypes.c_void_p, (ctypes.c_char_p,)
    return library, register(None)


def samples_of(wave: ctypes._Pointer[_Wave]) -> Pcm:
    """A copy of them."""
    return np.ctypeslib.as_array(wave.contents.samples, (wave.contents.num_samples,)).astype(np.int16)


def _rows(track: ctypes._Pointer[_Track]) -> list[NDArray[np.float32]]:
    """The frames of a track, in place."""
    content = track.contents
    return [np.ctypeslib.as_array(content.frames[n], (content.num_channels,)) for n in range(content.num_frames)]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a voice would say, frame by frame.

    states: the name of each frame's state, its phone in front ("aa_1"); values: (n_frames, 102) float32, of which
    PITCH is in Hz (0 where unvoiced) and MCEPS the spectrum; voicing: (n_frames, 5) float32, 0 to 1
    """

    states: list[str]
    values: NDArray[np.float32]
    voicing: NDArray[np.float32]


class Utterance:
    """One sentence as flite holds it; to be used inside `StatisticalVoice.predicted`, which frees it at its end."""

    def __init__(self, pointer: int, model: _Model) -> None:
        self._model, features = model, features_of(pointer, 0)
        self._values, self._voicing = (
            flite().val_track(flite().feat_val(features, name)) for name in (b"param_track", b"str_track")
        )
        self.prediction = Prediction(
            [name_of(item) for item in items(pointer, b"mcep")],
            np.stack(_rows(self._values)),
            np.stack(_rows(self._voicing)),
        )

    def spectra(self) -> NDArray[np.float32]:
        """The mel-cepstra as they sound, smooth over time: (n_frames, NUM_MCEPS)."""
        smooth = flite().mlpg(self._values, ctypes.byref(self._model))
        found = np.stack(_rows(smooth))[:, 1:]
        flite().delete_track(smooth)
        return found

    def sound(self, prediction: Prediction, sharpness: float) -> Pcm:
        """A changed prediction of this sentence as PCM at 16 kHz.

        sharpness: how far flite lifts the formants; 0.4 is its own choice
        """
        for track, wanted in ((self._values, prediction.values), (self._voicing, prediction.voicing)):
            for row, values in zip(_rows(track), wanted, strict=True):
                row[:] = values
        model = _Model.from_buffer_copy(self._model)
        model.mlsa_beta = sharpness
        smooth = flite().mlpg(self._values, ctypes.byref(model))
        wave = flite().mlsa_resynthesis(smooth, self._voicing, ctypes.byref(model), None, 0)
        samples = samples_of(wave)
        flite().delete_track(smooth)
        flite().delete_wave(wave)
        return samples


class StatisticalVoice:
    """A voice of flite's by name: slt, awb or rms; one instance a process is enough."""

    def __init__(self, name: str) -> None:
        library, self._voice = registered(name)
        self._model = _Model.from_buffer_copy(_Model.in_dll(library, f"cmu_us_{name}_cg_db"))
        features = features_of(self._voice, 1)
        flite().feat_set(features, b"cg_db", flite().cg_db_val(ctypes.byref(self._model)))
        flite().feat_set_int(features, b"mlsa_speed_param", COARSEST)

        self.durations = _Pair(*self._model.dur_models)
        """What decides how long each state lasts."""

    @property
    def pitch_hz(self) -> float:
        """The mean pitch."""
        return float(self._model.f0_mean)

    @contextmanager
    def predicted(
        self, text: str, stretch: float = 1.0, timed_by: StatisticalVoice | None = None
    ) -> Iterator[Utterance]:
        """The sentence as this voice would say it, so many times as slowly, with the durations of another if named."""
        self._model.dur_models = (timed_by or self).durations
        flite().feat_set_float(features_of(self._voice, 1), b"duration_stretch", stretch)
        pointer = flite().flite_synth_text(text.encode(), self._voice)
        try:
            yield Utterance(pointer, self._model)
        finally:
            flite().delete_utterance(pointer)
