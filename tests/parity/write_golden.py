"""Writes the golden files that the default tests read: `python -m tests.parity.write_golden`, with torch installed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from asr_api.options import TranscribeOptions
from tests.engines.checkpoints import write_checkpoint
from tests.engines.golden_tokens import GOLDEN, SEED, SHAPES, GoldenWindow, write_golden_windows
from tests.engines.sounds import sound
from tests.parity.reference import ReferenceModel

FILL = (1.0, 0.4, 0.9, 0.07)  # of the window
LANGUAGES = (None, "de", None, "en")
MEL_COLUMNS = (0, 1, 57, 148, 149, 299)


def main() -> None:
    windows, mels = [], {}
    for name, shape in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            model = ReferenceModel(write_checkpoint(Path(folder), shape, SEED))
        window_s = shape.n_audio_ctx / 50
        for index, (fill, language) in enumerate(zip(FILL, LANGUAGES, strict=True)):
            wish = language if shape.is_multilingual else None
            seconds = window_s * fill
            (said,) = model.listen([sound(seconds, index)], TranscribeOptions(language=wish))
            windows.append(GoldenWindow(name, seconds, index, wish, said.prompt, said.tokens))
        mel = model.log_mel(sound(window_s / 2, 0))[:, MEL_COLUMNS]
        mels[shape.n_mels] = {"columns": MEL_COLUMNS, "log_mel": mel.astype(float).round(5).tolist()}
    write_golden_windows(windows)
    (GOLDEN / "log_mel.json").write_text(json.dumps(mels) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
