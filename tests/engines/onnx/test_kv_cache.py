from __future__ import annotations

import numpy as np
import pytest

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.onnx.kv_cache import CrossCache, SelfCache
from asr_api.engines.onnx.session import Array
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from tests.engines.whisper_checkpoints import SMALL, write_checkpoint


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> WhisperConfig:
    return read_whisper_config(open_checkpoint(write_checkpoint(tmp_path_factory.mktemp("caches"), SMALL)))


def fill(cache: SelfCache | CrossCache, row: int, value: int) -> None:
    for view in cache.views(slice(row, row + 1)).values():
        view[:] = value


def values(view: Array, row: int, num_tokens: int) -> list[float]:
    return np.unique(view[row, :, :num_tokens]).tolist()


def test_what_rows_said_is_copied_as_far_as_it_goes(config: WhisperConfig) -> None:
    cache = SelfCache(config, n_rows=6)
    for row in range(4):
        fill(cache, row, row + 1)
    cache.copy(np.array([2, 1, 2]), slice(1, 4), 5)  # as beams continue each other
    cache.copy(slice(0, 1), slice(4, 6), 7)  # one into each of several
    for view in cache.views(slice(0, 6)).values():
        assert [values(view, row, 5) for row in range(6)] == [[1], [3], [2], [3], [1], [1]]
        assert np.unique(view[1, :, 5:]).tolist() == [2]
        assert np.unique(view[4, :, 7:]).tolist() == [0]


def test_a_prompt_moves_into_each_row_of_another_cache(config: WhisperConfig) -> None:
    source, target = SelfCache(config, n_rows=2), SelfCache(config, n_rows=6)
    fill(source, 1, 9)
    target.take_over(source, 1, slice(2, 5), 7)
    for view in target.views(slice(0, 6)).values():
        assert not view[[0, 1, 5]].any()
        assert not view[:, :, 7:].any()
        assert (view[2:5, :, :7] == 9).all()


@pytest.mark.parametrize("is_int8", [False, True])
def test_views_are_contiguous_and_no_copies(config: WhisperConfig, is_int8: bool) -> None:
    cross, said = CrossCache(config, n_rows=4, is_int8=is_int8), SelfCache(config, 5)
    for cache in (cross, said):
        views = cache.views(slice(2, 4))
        for name, view in cache.new_views(slice(2, 4)).items():
            assert view.flags.c_contiguous, name
            assert np.shares_memory(view, views[name.removeprefix("new_")]), name
    fill(cross, 2, 7)
    cross.copy(2, 0)
    for name, view in cross.views(slice(0, 4)).items():
        assert [np.unique(view[row]).tolist() for row in range(4)] == [[7], [0], [7], [0]], name
