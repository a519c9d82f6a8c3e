"""Rigged checkpoints: every window gets the same number of tokens, whatever the audio and the type of the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.onnx.open_engine import open_onnx_engine
from asr_api.engines.protocol import EngineOptions, FinishedJob, WindowJob
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ
from benchmarks.rigged import write_rigged
from tests.engines.whisper_checkpoints import TINY

SHAPE = replace(TINY, n_state=64, n_head=1, n_audio_layer=1, n_text_layer=1)
NUM_TOKENS = 20


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_each_window_gets_the_number_of_tokens(tmp_path: Path, dtype: str) -> None:
    folder = write_rigged(tmp_path / "model", replace(SHAPE, dtype=dtype), NUM_TOKENS)
    engine = open_onnx_engine(EngineOptions(checkpoint=folder, model_id="rigged", n_slots=2))
    noise = np.random.default_rng(1).integers(-3000, 3000, 30 * SAMPLE_RATE_HZ).astype(np.int16)
    engine.admit([WindowJob(1, noise, DecodeOptions()), WindowJob(2, 0 * noise, DecodeOptions())])
    finished: list[FinishedJob] = []
    while len(finished) < 2:
        finished += engine.step()
    assert [job.transcript.num_tokens for job in finished] == [NUM_TOKENS, NUM_TOKENS]
