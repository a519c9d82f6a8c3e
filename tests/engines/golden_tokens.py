"""The token ids that transformers' greedy generate gave to sounds on small random checkpoints, as committed.

Written by `python -m tests.parity.write_golden`, which needs torch; read here without it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.engines.checkpoints import SMALL, SMALL_128, SMALL_EN

GOLDEN = Path(__file__).parent / "golden"
SHAPES = {"multilingual": SMALL, "english": SMALL_EN, "mels128": SMALL_128}
SEED = 3


@dataclass(frozen=True, slots=True)
class GoldenWindow:
    """What was said to `sound(seconds, seed)`, with the language given or detected."""

    shape: str
    seconds: float
    seed: int
    language: str | None
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]


def read_golden_windows() -> list[GoldenWindow]:
    entries = json.loads((GOLDEN / "tokens.json").read_text(encoding="utf-8"))
    return [
        GoldenWindow(**entry | {"prompt": tuple(entry["prompt"]), "tokens": tuple(entry["tokens"])})
        for entry in entries
    ]


def write_golden_windows(windows: list[GoldenWindow]) -> None:
    lines = ",\n".join(json.dumps(asdict(window)) for window in windows)
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "tokens.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
