"""Writes the golden files that the default tests read: `python -m tests.parity.write_golden`, with torch installed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.engines.golden_tokens import GOLDEN, SEED, SHAPES, GoldenWindow, write_golden_windows
from tests.engines.sounds import sound
from tests.engines.whisper_checkpoints import write_checkpoint
from tests.parity.reference import ReferenceModel

FILL = (1.0, 0.4, 0.9, 0.07)  # of the window
LANGUAGES = (None, "de", None, "en")
MEL_COLUMNS = (0, 1, 57, 148, 149, 299)
TEXT = "As was said: 1, 2, 3. "


def main() -> None:
    tokens, others, mels = [], [], {}
    for name, shape in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            model = ReferenceModel(write_checkpoint(Path(folder), shape, SEED))
        window_s = shape.n_audio_ctx / 50
        for index, (fill, language) in enumerate(zip(FILL, LANGUAGES, strict=True)):
            given = language if shape.is_multilingual else None
            tokens.append(decoded(model, GoldenWindow(name, window_s * fill, index, given)))
        others += [decoded(model, window) for window in windows_of(name)]
        mel = model.log_mel(sound(window_s / 2, 0))[:, MEL_COLUMNS]
        mels[shape.n_mels] = {"columns": MEL_COLUMNS, "log_mel": mel.astype(float).round(5).tolist()}
    write_golden_windows("tokens", tokens)
    write_golden_windows("options", others)
    (GOLDEN / "log_mel.json").write_text(json.dumps(mels) + "\n", encoding="utf-8")


def windows_of(name: str) -> Iterator[GoldenWindow]:
    plain = GoldenWindow(name, 2.9, 10, None)
    yield replace(plain, timestamps=False)
    yield replace(plain, text=TEXT)
    yield replace(plain, text=9 * TEXT, timestamps=False)
    yield from (replace(plain, seed=seed, beam_size=2) for seed in (10, 11))
    yield from (replace(plain, seed=seed, beam_size=5, text=TEXT, timestamps=False) for seed in (10, 11))
    if name == "multilingual":
        yield replace(plain, language="fr", task="translate", beam_size=2)
        yield replace(plain, task="translate", timestamps=False)
        yield from (replace(plain, language=code, timestamps=False) for code in ("de", "ja", "hi"))
    if name == "mels128":
        yield replace(plain, language="yue", text=TEXT)


def decoded(model: ReferenceModel, window: GoldenWindow) -> GoldenWindow:
    (reference,) = model.generate([sound(window.seconds, window.seed)], [window.options], window.beam_size)
    return replace(window, prompt=reference.prompt, tokens=reference.tokens)


if __name__ == "__main__":
    main()
