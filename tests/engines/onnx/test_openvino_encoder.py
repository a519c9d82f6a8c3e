"""The bfloat16 encoder: close to the float32 one, writes only its own row of the KV cache, sends no telemetry."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.onnx.encoder_graph import OnnxEncoder
from asr_api.engines.onnx.graph_builder import GraphBuilder
from asr_api.engines.onnx.kv_cache import CrossKvCache
from asr_api.engines.onnx.openvino_encoder import OpenVinoEncoder
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.engines.whisper.logmel import log_mel
from asr_api.errors import CheckpointError
from tests.engines.sounds import sound
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_close_to_float32(dtype: str, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_checkpoint(tmp_path, dataclasses.replace(SMALL, dtype=dtype)))
    config, weights = read_whisper_config(checkpoint), checkpoint.tensors
    mel = log_mel(sound(2, 1), config.n_mels, config.n_frames)
    exact, rounded = (CrossKvCache(config, 3, is_int8=is_int8) for is_int8 in (False, True))
    OnnxEncoder(config, GraphBuilder(weights), 1).encode(mel, exact.views(slice(1, 2)))
    encoder = OpenVinoEncoder(config, weights, 1)
    encoder.encode(np.zeros_like(mel), rounded.views(slice(0, 1)))  # each call writes its own row
    encoder.encode(mel, rounded.views(slice(1, 2)))
    cross = rounded.views(slice(1, 2))
    for name, expected in exact.views(slice(1, 2)).items():
        kind = "key" if "keys" in name else "value"
        scales = cross[f"{kind}_scales.{name.rpartition('.')[2]}"].reshape(1, config.n_text_head, 1, -1)
        error = np.abs(cross[name] * scales - expected).mean()
        assert error < 0.02 * np.abs(expected).mean()
    assert all((view == 0).all() for view in rounded.views(slice(2, 3)).values())


def test_nan_weights_are_refused(tmp_path: Path) -> None:
    name, dims = "model.encoder.layers.1.fc1.bias", (4 * SMALL.n_state,)
    checkpoint = open_checkpoint(write_checkpoint(tmp_path, SMALL))
    path = tmp_path / "model.safetensors"
    values = checkpoint.tensors.numbers(name.removeprefix("model."), dims).tobytes()
    path.write_bytes(path.read_bytes().replace(values, np.full(dims, np.nan, np.float32).tobytes()))
    checkpoint = open_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=r"encoder\.layers\.1\.fc1\.bias"):
        OpenVinoEncoder(read_whisper_config(checkpoint), checkpoint.tensors, 1)


def test_telemetry_is_not_loaded() -> None:
    code = (
        "import sys; from asr_api.engines.onnx.openvino_encoder import load_openvino; load_openvino();"
        "print([name for name in sys.modules if 'telemetry' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
