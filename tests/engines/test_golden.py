"""Golden tokens of transformers in mixed batches: tasks, languages, prompts, beam search, no timestamps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.golden_tokens import SEED, SHAPES, File, read_golden_windows
from tests.engines.sounds import sound
from tests.engines.transcribing import open_onnx, transcribe
from tests.engines.whisper_checkpoints import write_checkpoint


@pytest.mark.parametrize("file", ["tokens", "options"])
@pytest.mark.parametrize("name", SHAPES)
def test_tokens_equal_transformers(name: str, file: File, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / name, SHAPES[name], SEED)
    windows = [window for window in read_golden_windows(file) if window.shape == name]
    for beam_size in sorted({window.beam_size for window in windows}):
        batch = [window for window in windows if window.beam_size == beam_size]
        engine = open_onnx(folder, beam_size=beam_size, n_slots=3)
        pcms = [sound(window.seconds, window.seed) for window in batch]
        for transcript, window in zip(transcribe(engine, pcms, [w.options for w in batch]), batch, strict=True):
            assert (transcript.prompt, transcript.tokens) == (window.prompt, window.tokens), window
