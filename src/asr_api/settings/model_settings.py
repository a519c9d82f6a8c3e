"""Settings of the model and of decoding: which model, how many slots, windows, presets, language, threads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, field_validator, model_validator
from pydantic_settings import NoDecode

from asr_api.engines.checkpoints.catalogue import full_model_id
from asr_api.engines.checkpoints.resolve import find_folder
from asr_api.engines.protocol import ComputeType
from asr_api.errors import InvalidParameter
from asr_api.settings.declaration import DeclaredSettings, setting, split, switch
from asr_api.text.languages import language_or_auto

MODEL_WINDOW_S = 30.0  # of every Whisper model
STRIDE_SHARE = 0.4  # of a window
Preset = Literal["fast", "best"]
BEAM_SIZES: dict[Preset, int] = {"fast": 1, "best": 5}
MAX_WINDOW_TOKENS = 444  # Whisper's 448 target positions, less the four tokens before a transcript
# Names of OpenAI's models, so that its clients need no other change than an address.
DEFAULT_ALIASES = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-transcribe",
)


def _listed(names: Iterable[str]) -> str:
    """`a, b or c`"""
    *most, last = names
    return f"{', '.join(most)} or {last}"


class ModelSettings(DeclaredSettings):
    model_id: str = setting(
        "openai/whisper-large-v3",
        "Model: a short name such as `base` or `turbo`, a hub id, a local folder, or `builtin` for the small model "
        "inside the package. `asr-api models` lists the short names.",
    )
    model_aliases: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)] = setting(
        DEFAULT_ALIASES,
        "Names that stand for the model in OpenAI's API, separated by commas.",
        shown=f"`{','.join(DEFAULT_ALIASES)}`",
        allowed="names separated by commas",
        server_only=True,
    )
    model_revision: str | None = setting(
        None,
        "Branch, tag or commit of the hub id. The log says at start when it has no effect.",
        shown="the default branch",
    )
    cache_dir: Path = setting(
        Path("/data"),
        "Folder for downloaded models; it must be writable when one has to be downloaded. If it is not set and `/data` "
        "does not exist or is not writable, `~/.cache/asr-api` is used, and the log says so at start.",
    )
    batch_size: int = setting(16, "Number of slots: windows that are decoded at the same time.", ge=1, le=256)
    max_new_tokens: int = setting(
        128,
        "Most tokens in one decoding of a window. A window that needs more is decoded again from its last timestamp, "
        "so no text is cut off. A lower value frees slots sooner, a higher one saves second decodings of dense speech.",
        ge=1,
        le=MAX_WINDOW_TOKENS,
    )
    chunk_length_s: float = setting(
        MODEL_WINDOW_S,
        "Length of a window in seconds; models take at most 30. Values below 10 lose words.",
        ge=1,
        le=MODEL_WINDOW_S,
    )
    stride_length_s: float = setting(
        lambda before: before["chunk_length_s"] * STRIDE_SHARE,
        "Seconds before the end of a window in which a recording may be cut; it is cut at the quietest point of them. "
        "More gives better cuts, less gives fuller windows. It must be less than half of `CHUNK_LENGTH_S`.",
        shown="0.4 × `CHUNK_LENGTH_S`",
        gt=0,
    )
    flash_attention_2: bool | None = setting(
        None, "FlashAttention 2 on a GPU. The log says at start when `1` has no effect.", shown="`1` if available",
        by_default="By default it is used if it is available", allowed="1 or 0",
    )  # fmt: skip
    compute_type: ComputeType = setting(
        "auto",
        f"Type of matrix products on a CPU: {_listed(f'`{name}`' for name in get_args(ComputeType))}; `auto` is the "
        "fastest one available.",
        allowed=_listed(get_args(ComputeType)),
    )
    preset: Preset = setting(
        "fast",
        "`fast` decodes greedily. `best` makes fewer errors, by beam search and by prompting each window with the text "
        "before it, and takes about three times as long.",
        allowed=_listed(get_args(Preset)),
    )
    beam_size: int = setting(
        lambda before: BEAM_SIZES[before["preset"]],
        "Hypotheses of beam search; 1 is greedy.",
        shown="`1`; `5` with `PRESET=best`",
        ge=1,
        le=10,
    )
    condition_on_previous_text: bool = setting(
        lambda before: before["preset"] == "best",
        "Prompt each window with the text before it, in pieces of up to three windows: names and style stay the same, "
        "but so do mistakes.",
        shown="`0`; `1` with `PRESET=best`",
        allowed="1 or 0",
    )
    vad: bool = switch(
        False,
        "By default, mute audio in which a voice activity model finds no speech.",
    )
    default_language: str | None = setting(
        None, "Language of requests that name none, such as `en`; `auto` is the default.", shown="detected",
        by_default="By default it is detected", allowed="a language of Whisper, such as en, or auto", server_only=True,
    )  # fmt: skip
    num_threads: int = setting(0, "Threads of the engine on a CPU; 0 chooses by the usable cores.", ge=0, le=1024)

    @field_validator("model_id")
    @classmethod
    def _full_model_id(cls, value: str) -> str:
        return value if find_folder(value) else full_model_id(value)

    @field_validator("default_language")
    @classmethod
    def _is_language(cls, value: str | None) -> str | None:
        try:
            return language_or_auto(value) if value else None
        except InvalidParameter:
            raise ValueError from None

    @model_validator(mode="after")
    def _stride_fits(self) -> ModelSettings:
        if self.stride_s >= self.chunk_length_s / 2:
            raise ValueError(
                f"STRIDE_LENGTH_S is '{self.stride_s:g}'; it must be less than half of CHUNK_LENGTH_S, "
                f"{self.chunk_length_s / 2:g} s. The default is 0.4 × CHUNK_LENGTH_S."
            )
        return self

    @property
    def window_s(self) -> float:
        return self.chunk_length_s

    @property
    def stride_s(self) -> float:
        return self.stride_length_s
