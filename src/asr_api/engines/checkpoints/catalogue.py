"""Short names of OpenAI's and distil-whisper's checkpoints, such as `base` or `turbo`, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

ENGLISH, MULTILINGUAL = "English", "99 languages"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """The last three are measured, or None: a file of five minutes with words, two cores of an EPYC, default settings.

    docs/measurements.md has the figures. Models of one shape have the same memory and speed.

    parameters_m: millions
    memory_mb:    peak of all processes, shared memory counted once
    speed:        seconds of audio a second
    word_errors:  in 100 words of short English recordings
    """

    name: str
    model_id: str
    languages: str
    parameters_m: int
    memory_mb: int | None = None
    speed: int | None = None
    word_errors: float | None = None


KNOWN_MODELS = (
    KnownModel("tiny", "openai/whisper-tiny", MULTILINGUAL, 39, 650, 78),
    KnownModel("tiny.en", "openai/whisper-tiny.en", ENGLISH, 39, 650, 78, 7.5),
    KnownModel("base", "openai/whisper-base", MULTILINGUAL, 74, 890, 39, 7.6),
    KnownModel("base.en", "openai/whisper-base.en", ENGLISH, 74, 890, 39),
    KnownModel("small", "openai/whisper-small", MULTILINGUAL, 244, 2150, 12),
    KnownModel("small.en", "openai/whisper-small.en", ENGLISH, 244, 2150, 12),
    KnownModel("medium", "openai/whisper-medium", MULTILINGUAL, 769),
    KnownModel("medium.en", "openai/whisper-medium.en", ENGLISH, 769),
    KnownModel("large-v1", "openai/whisper-large", MULTILINGUAL, 1550),
    KnownModel("large-v2", "openai/whisper-large-v2", MULTILINGUAL, 1550),
    KnownModel("large-v3", "openai/whisper-large-v3", MULTILINGUAL, 1550),
    KnownModel("turbo", "openai/whisper-large-v3-turbo", MULTILINGUAL, 809),
    KnownModel("distil-small.en", "distil-whisper/distil-small.en", ENGLISH, 166),
    KnownModel("distil-medium.en", "distil-whisper/distil-medium.en", ENGLISH, 394),
    KnownModel("distil-large-v2", "distil-whisper/distil-large-v2", ENGLISH, 756),
    KnownModel("distil-large-v3", "distil-whisper/distil-large-v3", ENGLISH, 756),
    KnownModel("distil-large-v3.5", "distil-whisper/distil-large-v3.5", ENGLISH, 756),
)
MORE_NAMES = {"large": "openai/whisper-large-v3", "large-v3-turbo": "openai/whisper-large-v3-turbo"}
_IDS = MORE_NAMES | {model.name: model.model_id for model in KNOWN_MODELS}


def full_model_id(model_id: str) -> str:
    """The hub id of a short name; any other id is returned unchanged."""
    return _IDS.get(model_id, model_id)


def nearest_names(model_id: str) -> list[str]:
    """Short names and hub ids that are spelt like an id that is none of them; none for a repository of other owners."""
    owner, has_owner, _ = model_id.rpartition("/")
    known = [*_IDS.values()] if has_owner else [*_IDS]
    if model_id in known or (has_owner and owner not in {name.partition("/")[0] for name in known}):
        return []
    spelling = model_id if has_owner else model_id.lower().removeprefix("whisper-")
    return get_close_matches(spelling, dict.fromkeys(known), n=2, cutoff=0.7)
