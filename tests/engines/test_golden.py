"""Tasks, languages, prompts, no timestamps, beams: the tokens that transformers gave, in batches of all that fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.golden_tokens import SEED, SHAPES, read_golden_windows
from tests.engines.sounds import sound
from tests.engines.transcribing import listen, open_onnx
from tests.engines.whisper_checkpoints import write_checkpoint


@pytest.mark.parametrize("name", SHAPES)
def test_wishes_are_answered_as_by_transformers(name: str, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / name, SHAPES[name], SEED)
    wishes = [wish for wish in read_golden_windows("wishes") if wish.shape == name]
    for beam_size in sorted({wish.beam_size for wish in wishes}):
        chosen = [wish for wish in wishes if wish.beam_size == beam_size]
        engine = open_onnx(folder, beam_size=beam_size, n_slots=3)
        heard = listen(engine, [sound(wish.seconds, wish.seed) for wish in chosen], [wish.options for wish in chosen])
        for ours, wish in zip(heard, chosen, strict=True):
            assert ours.prompt == wish.prompt, wish
            assert ours.tokens == wish.tokens, wish
