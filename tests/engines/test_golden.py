"""Golden tokens of tasks, languages, prompts, beam search and windows without timestamps, in mixed batches."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.golden_tokens import SEED, SHAPES, read_golden_windows
from tests.engines.sounds import sound
from tests.engines.transcribing import open_onnx, transcribe
from tests.engines.whisper_checkpoints import write_checkpoint


@pytest.mark.parametrize("name", SHAPES)
def test_tokens_equal_transformers(name: str, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / name, SHAPES[name], SEED)
    windows = [window for window in read_golden_windows("options") if window.shape == name]
    for beam_size in sorted({window.beam_size for window in windows}):
        batch = [window for window in windows if window.beam_size == beam_size]
        engine = open_onnx(folder, beam_size=beam_size, n_slots=3)
        transcripts = transcribe(
            engine, [sound(window.seconds, window.seed) for window in batch], [window.options for window in batch]
        )
        for transcript, window in zip(transcripts, batch, strict=True):
            assert transcript.prompt == window.prompt, window
            assert transcript.tokens == window.tokens, window
