"""The encoder in bfloat16: close to the one in float32, into its own row of the caches, and nobody is told of it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.safetensors import SafetensorsReader
from asr_api.engines.onnx.encoder_graph import OnnxEncoder
from asr_api.engines.onnx.graph_builder import Builder
from asr_api.engines.onnx.kv_cache import CrossCache
from asr_api.engines.onnx.openvino_encoder import OpenVinoEncoder
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.engines.whisper.logmel import log_mel
from asr_api.errors import CheckpointError
from tests.engines.sounds import sound
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_keys_and_values_are_close_to_those_of_float32(dtype: str, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", dataclasses.replace(SMALL, dtype=dtype))
    config, weights = read_whisper_config(open_checkpoint(folder)), SafetensorsReader(folder)
    mel = log_mel(sound(2, 1), config.n_mels, config.n_frames)
    exact, rounded = (CrossCache(config, 3, is_int8=is_int8) for is_int8 in (False, True))
    OnnxEncoder(config, Builder(weights), 1).encode(mel, exact.views(slice(1, 2)))
    encoder = OpenVinoEncoder(config, weights, 1)
    encoder.encode(np.zeros_like(mel), rounded.views(slice(0, 1)))  # every call has places of its own
    encoder.encode(mel, rounded.views(slice(1, 2)))
    heard = rounded.views(slice(1, 2))
    for name, expected in exact.views(slice(1, 2)).items():
        kind = "key" if "keys" in name else "value"
        scales = heard[f"{kind}_scales.{name.rpartition('.')[2]}"].reshape(1, config.n_text_head, 1, -1)
        error = np.abs(heard[name] * scales - expected).mean()
        assert error < 0.02 * np.abs(expected).mean()
    assert all((view == 0).all() for view in rounded.views(slice(2, 3)).values())


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", SMALL)
    config, weights = read_whisper_config(open_checkpoint(folder)), SafetensorsReader(folder)
    sound_tensor = weights.tensor

    def broken(name: str, dims: tuple[int, ...]) -> object:
        tensor = sound_tensor(name, dims)
        values = np.full_like(tensor.values, np.nan)
        return dataclasses.replace(tensor, values=values) if name.endswith("layers.1.fc1.bias") else tensor

    weights.tensor = broken  # type: ignore[method-assign,assignment]
    with pytest.raises(CheckpointError, match=r"encoder.layers.1.fc1.bias contains NaN or infinity"):
        OpenVinoEncoder(config, weights, 1)


def test_what_reports_to_the_makers_of_the_library_is_not_loaded() -> None:
    code = (
        "import sys; from asr_api.engines.onnx.openvino_encoder import _load; _load();"
        "print([name for name in sys.modules if 'telemetry' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
