from __future__ import annotations

import numpy as np
import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.onnx.kv_cache import CrossKvCache, SelfKvCache
from asr_api.engines.onnx.session import Array
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> WhisperConfig:
    return read_whisper_config(open_checkpoint(write_checkpoint(tmp_path_factory.mktemp("caches"), SMALL)))


def fill(cache: SelfKvCache | CrossKvCache, row: int, value: int) -> None:
    for view in cache.views(slice(row, row + 1)).values():
        view[:] = value


def values(view: Array, row: int, num_tokens: int) -> list[float]:
    return np.unique(view[row, :, :num_tokens]).tolist()


def test_copy_between_rows(config: WhisperConfig) -> None:
    cache = SelfKvCache(config, n_rows=6)
    for row in range(4):
        fill(cache, row, row + 1)
    cache.copy(np.array([2, 1, 2]), slice(1, 4), 5)  # as beams are reordered
    cache.copy(slice(0, 1), slice(4, 6), 7)  # one into each of several
    for view in cache.views(slice(0, 6)).values():
        assert [values(view, row, 5) for row in range(6)] == [[1], [3], [2], [3], [1], [1]]
        assert np.unique(view[1, :, 5:]).tolist() == [2]
        assert np.unique(view[4, :, 7:]).tolist() == [0]


def test_copy_from_another_cache(config: WhisperConfig) -> None:
    source, target = SelfKvCache(config, n_rows=2), SelfKvCache(config, n_rows=6)
    fill(source, 1, 9)
    target.copy(slice(1, 2), slice(2, 5), 7, source)
    for view in target.views(slice(0, 6)).values():
        assert not view[[0, 1, 5]].any()
        assert not view[:, :, 7:].any()
        assert (view[2:5, :, :7] == 9).all()


@pytest.mark.parametrize("is_int8", [False, True])
def test_views_are_contiguous_and_not_copies(config: WhisperConfig, is_int8: bool) -> None:
    cross, self_cache = CrossKvCache(config, n_rows=4, is_int8=is_int8), SelfKvCache(config, 5)
    for cache in (cross, self_cache):
        views = cache.views(slice(2, 4))
        for name, view in cache.new_views(slice(2, 4)).items():
            assert view.flags.c_contiguous, name
            assert np.shares_memory(view, views[name.removeprefix("new_")]), name
    fill(cross, 2, 7)
    cross.copy(2, 0)
    for name, view in cross.views(slice(0, 4)).items():
        assert [np.unique(view[row]).tolist() for row in range(4)] == [[7], [0], [7], [0]], name
