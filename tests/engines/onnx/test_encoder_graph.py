from __future__ import annotations

from pathlib import Path

import numpy as np

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.safetensors import SafetensorsReader
from asr_api.engines.onnx.encoder_graph import OnnxEncoder
from asr_api.engines.onnx.graph_builder import GraphBuilder
from asr_api.engines.onnx.kv_cache import CrossKvCache
from asr_api.engines.onnx.session import Array
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.engines.whisper.logmel import log_mel
from tests.engines.sounds import sound
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint


def test_encoded_window_is_independent_of_other_rows(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, SMALL)
    config = read_whisper_config(open_checkpoint(folder))
    encoder = OnnxEncoder(config, GraphBuilder(SafetensorsReader(folder)), 1)
    rows: list[dict[str, Array]] = []
    for seeds in ([1], [0, 1, 2]):
        cross = CrossKvCache(config, n_rows=4, is_int8=False)
        for row, seed in enumerate(seeds):
            encoder.encode(log_mel(sound(2, seed), config.n_mels, config.n_frames), cross.views(slice(row, row + 1)))
        row = seeds.index(1)
        rows.append(cross.views(slice(row, row + 1)))
    for name, view in rows[0].items():
        np.testing.assert_allclose(view, rows[1][name], atol=1e-5)
