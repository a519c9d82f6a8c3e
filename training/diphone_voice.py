"""flite's diphone voice (its library, in this process), which says each phone as long as another voice does.

In go a text, when each of its phones ends, and a pitch; out comes PCM at 16 kHz. Knows nothing about other voices.
"""

from __future__ import annotations

from itertools import groupby

from training.clips import FRAME_SAMPLES, SAMPLE_RATE, Pcm
from training.flite_library import UtteranceFunction, features_of, flite, items, name_of, registered, samples_of

PITCH_HZ = 95.0
"""Its own mean pitch."""

Phone = tuple[str, float]
"""Its name, and when it ends, in seconds."""


def phones_of(states: list[str]) -> list[Phone]:
    """Of the states of all frames; two phones of one name side by side are told apart by their states' numbers."""
    found: list[Phone] = []
    num_frames, last_number = 0, 0
    for state, frames in groupby(states):
        name, _, digits = state.rpartition("_")
        number = int(digits)
        num_frames += len(list(frames))
        if found and found[-1][0] == name and number > last_number:
            found.pop()
        found.append((name, num_frames * FRAME_SAMPLES / SAMPLE_RATE))
        last_number = number
    return found


class DiphoneVoice:
    """kal16; one instance a process is enough."""

    def __init__(self) -> None:
        self._voice = registered("kal16")[1]
        self._wanted: list[Phone] = []
        self._said: list[str] = []
        self._timed = UtteranceFunction(self._time)  # flite keeps a bare pointer to it
        flite().feat_set(features_of(self._voice, 1), b"duration_model_func", flite().uttfunc_val(self._timed))

    def _time(self, utterance: int) -> int:
        """Called by flite when the phones are known and their durations are not."""
        segments = list(items(utterance, b"Segment"))
        self._said = [name_of(segment) for segment in segments]
        for number, segment in enumerate(segments):
            known = self._wanted[min(number, len(self._wanted) - 1)][1]
            flite().item_set_float(segment, b"end", known)
        return utterance

    def say(self, text: str, phones: list[Phone], pitch_hz: float, pitch_spread_hz: float) -> Pcm:
        """The text with these phones' times; raises ValueError where the voice would say other phones."""
        features = features_of(self._voice, 1)
        flite().feat_set_float(features, b"int_f0_target_mean", pitch_hz)
        flite().feat_set_float(features, b"int_f0_target_stddev", pitch_spread_hz)
        self._wanted = phones
        pointer = flite().flite_synth_text(text.encode(), self._voice)
        samples = samples_of(flite().utt_wave(pointer))
        flite().delete_utterance(pointer)
        if self._said != [name for name, _ in phones]:
            raise ValueError(f"kal16 says {text!r} with other phones; leave the sentence out.")
        return samples
