"""Form fields of whisper.cpp's server: how their values are read, and what is accepted without an effect.

The server's own thresholds cannot be set by a request, so such a field must have its usual value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asr_api.errors import InvalidParameter
from asr_api.parameters import RawParameter
from asr_api.server.dialects.fields import T, invalid_field, number_from

TRUE, FALSE = frozenset({"true", "1", "yes", "y"}), frozenset({"false", "0", "no", "n"})
FLOAT_MAX = 3.4e38
# The values of which the effect is that of this server; the first one is the usual value.
FIXED_NUMBERS: dict[str, tuple[float, ...]] = {
    "no_speech_thold": (0.6,),
    "entropy_thold": (2.4,),
    "logprob_thold": (-1.0,),
    "word_thold": (0.01,),
    "best_of": (2,),
    "beam_size": (-1, 0, 1),
    "max_context": (-1, 0),
    "audio_ctx": (0,),
}
WHOLE_FILE_NUMBERS: dict[str, tuple[float, ...]] = {"offset_t": (0,), "duration": (0,)}
FIXED_VAD_NUMBERS: dict[str, tuple[float, ...]] = {"vad_min_speech_duration_ms": (250,), "vad_samples_overlap": (0.1,)}
VAD_MAX_SPEECH = "vad_max_speech_duration_s"
MIN_MAX_SPEECH_S = 30  # from here on it divides nothing that is not divided anyway
UNAVAILABLE_FLAGS = {
    "diarize": "speakers are not told apart here",
    "tinydiarize": "speakers are not told apart here",
    "detect_language": "a language alone is detected by POST /detect-language",
}
UNAVAILABLE_TEXTS = {"grammar": "no grammar guides the decoder here"}
# The prompt goes to every window; tokens that are no speech are suppressed as the checkpoint says; the rest is printed
# at the original server's console, or left out of its replies.
FLAGS_WITHOUT_EFFECT = (
    *("carry_initial_prompt", "suppress_nst", "suppress_non_speech", "debug_mode", "no_language_probabilities"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WhisperCppFields:
    """Fields of a form; an empty text counts as not given. Methods raise InvalidParameter, which names the field."""

    raw: Sequence[RawParameter]

    def text(self, name: str) -> str | None:
        """None if it is not given; may be empty."""
        values = [field.text for field in self.raw if field.name == name]
        if len(values) > 1:
            raise InvalidParameter(f"{name} has more than one value; give it one.", parameter=name)
        return values[0] if values else None

    def flag(self, name: str) -> bool | None:
        text = (self.text(name) or "").lower()
        if text and text not in TRUE | FALSE:
            raise invalid_field(name, text, "true or false")
        return text in TRUE if text else None

    def number(self, name: str, kind: type[T], limits: tuple[T, T], default: T) -> T:
        text = self.text(name)
        if not text:
            return default
        allowed = f"{'a whole number' if kind is int else 'a number'} from {limits[0]:,} to {limits[1]:,}"
        return number_from(name, text, kind, limits, allowed)

    def check_fixed(self, *, has_vad: bool) -> None:
        """What would change the original's reply, and cannot be done here."""
        unavailable = {name: why for name, why in UNAVAILABLE_FLAGS.items() if self.flag(name)}
        unavailable |= {name: why for name, why in UNAVAILABLE_TEXTS.items() if self.text(name)}
        for name, reason in unavailable.items():
            raise InvalidParameter(f"{name} is given, and {reason}; leave {name} out.", parameter=name)
        for name in FLAGS_WITHOUT_EFFECT:
            self.flag(name)
        for name, values in (FIXED_NUMBERS | (FIXED_VAD_NUMBERS if has_vad else {})).items():
            self._check_number(name, values, "this server has a value of its own")
        for name, values in WHOLE_FILE_NUMBERS.items():
            self._check_number(name, values, "a file is transcribed from its beginning to its end here")
        if has_vad:
            self.number(VAD_MAX_SPEECH, float, (MIN_MAX_SPEECH_S, float("inf")), FLOAT_MAX)

    def _check_number(self, name: str, values: tuple[float, ...], reason: str) -> None:
        if self.number(name, float, (-FLOAT_MAX, FLOAT_MAX), values[0]) not in values:
            sentence = f"{name} is {self.text(name)!r:.40}, and {reason}; leave {name} out, or send {values[0]:g}."
            raise InvalidParameter(sentence, parameter=name)
