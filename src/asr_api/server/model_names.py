"""Model names: what clients call the served model, such as `whisper-1`, and the ids of `GET /v1/models`."""

from __future__ import annotations

from collections.abc import Sequence

from asr_api.engines.checkpoints.catalogue import full_model_id
from asr_api.errors import ModelNotFound

MAX_SHOWN_CHARS = 80


class ModelNames:
    def __init__(self, model_id: str, aliases: Sequence[str]) -> None:
        """model_id: of the served model"""
        self.model_id = model_id
        self.all = tuple(dict.fromkeys((model_id, *aliases)))

    def resolve(self, name: str) -> str:
        """The id of the served model; a short name such as `base` and an empty one are allowed. Raises ModelNotFound.

        No model is ever downloaded because a client names it.
        """
        if name in {"", *self.all} or full_model_id(name) == self.model_id:
            return self.model_id
        known = ", ".join(self.all)
        sentence = f"There is no model {name[:MAX_SHOWN_CHARS]!r} here; this server answers to {known} (MODEL_ALIASES)."
        raise ModelNotFound(sentence, parameter="model")
