from __future__ import annotations

import numpy as np
import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.onnx.kv_cache import CrossKvCache, KvCache, SelfKvCache
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> WhisperConfig:
    return read_whisper_config(open_checkpoint(write_checkpoint(tmp_path_factory.mktemp("caches"), SMALL)))


def fill(cache: KvCache, *values: int) -> None:
    """Row by row."""
    for row, value in enumerate(values):
        for view in cache.views(slice(row, row + 1)).values():
            view[:] = value


def test_copy_between_rows(config: WhisperConfig) -> None:
    cache, other = SelfKvCache(config, n_rows=6), SelfKvCache(config, n_rows=2)
    fill(cache, 1, 2, 3, 4)
    fill(other, 8, 9)
    cache.copy(np.array([2, 1, 2]), slice(1, 4), 5)  # as beams are reordered
    cache.copy(slice(0, 1), slice(4, 6), 7)  # one into each of several
    cache.copy(slice(1, 2), slice(0, 1), 3, other)
    for view in cache.views(slice(0, 6)).values():
        assert view[:, 0, [0, 4, 6, 7], 0].tolist() == [
            [9, 1, 1, 1], [3, 3, 2, 2], [2, 2, 3, 3], [3, 3, 4, 4], [1, 1, 1, 0], [1, 1, 1, 0]
        ]  # fmt: skip
        assert (view == view[:, :1, :, :1]).all()


@pytest.mark.parametrize("is_int8", [False, True])
def test_views_are_contiguous_and_not_copies(config: WhisperConfig, is_int8: bool) -> None:
    cross, self_cache = CrossKvCache(config, n_rows=4, is_int8=is_int8), SelfKvCache(config, 5)
    for cache in (cross, self_cache):
        views = cache.views(slice(2, 4))
        for name, view in cache.new_views(slice(2, 4)).items():
            assert view.flags.c_contiguous, name
            assert np.shares_memory(view, views[name.removeprefix("new_")]), name
    fill(cross, 0, 0, 7)
    cross.copy(2, 0)
    for name, view in cross.views(slice(0, 4)).items():
        assert [np.unique(row).tolist() for row in view] == [[7], [0], [7], [0]], name
