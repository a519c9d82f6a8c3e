from __future__ import annotations

import numpy as np
import pytest

from asr_api.engines.onnx.caches import GROWTH_TOKENS, CrossCache, SelfCache
from asr_api.engines.whisper.spec import WhisperSpec, read_spec
from tests.engines.checkpoints import SMALL, write_checkpoint

N_LAYER, N_HEAD, N_STATE = SMALL.n_text_layer, SMALL.n_head, SMALL.n_state
D_HEAD = N_STATE // N_HEAD
Stored = list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> WhisperSpec:
    return read_spec(write_checkpoint(tmp_path_factory.mktemp("caches"), SMALL))


def some(random: np.random.RandomState, rows: int) -> tuple[np.ndarray, np.ndarray]:
    keys, values = random.standard_normal((2, rows, N_LAYER * N_STATE)).astype(np.float32)
    return keys, values


def check(cache: SelfCache, row: int, stored: Stored) -> None:
    views = cache.views(row, 1)
    for layer in range(N_LAYER):
        part = slice(layer * N_STATE, (layer + 1) * N_STATE)
        for at, (key, value) in enumerate(stored):
            key_at, value_at = views[f"self_keys.{layer}"][0, :, :, at], views[f"self_values.{layer}"][0, :, at]
            np.testing.assert_array_equal(key_at, key[part].reshape(N_HEAD, D_HEAD))
            np.testing.assert_array_equal(value_at, value[part].reshape(N_HEAD, D_HEAD))


def test_what_rows_said_survives_growing_shrinking_and_copying(spec: WhisperSpec) -> None:
    """Rows of different lengths against plain lists of what was stored."""
    cache, random = SelfCache(spec, n_rows=8), np.random.RandomState(0)
    stored: dict[int, Stored] = {2: [], 3: [], 4: []}

    def step() -> None:
        positions = np.array([len(row) for row in stored.values()])
        cache.fit(int(positions.max()) + 1, slice(2, 5))
        assert cache.room == (positions.max() // GROWTH_TOKENS + 1) * GROWTH_TOKENS
        keys, values = some(random, 3)
        cache.append(2, positions, keys, values)
        for index, row in enumerate(stored.values()):
            row.append((keys[index], values[index]))

    keys, values = some(random, 5)
    cache.fill(slice(2, 4), 0, keys[:3], values[:3])
    cache.fill(slice(2, 4), 3, keys[3:], values[3:])
    stored[2], stored[3] = list(zip(keys, values, strict=True)), list(zip(keys, values, strict=True))
    for _ in range(GROWTH_TOKENS):
        step()
    stored[3] = stored[3][:2]  # a new window in row 3
    step()
    cache.copy(slice(4, 5), slice(2, 3))
    stored[2] = list(stored[4])
    step()
    for row, tokens in stored.items():
        check(cache, row, tokens)
    cache.copy(np.array([3, 2, 3]), slice(2, 5))  # as beams continue each other
    stored = {2: list(stored[3]), 3: list(stored[2]), 4: list(stored[3])}
    step()
    for row, tokens in stored.items():
        check(cache, row, tokens)
    cache.fit(9, slice(2, 3))  # only the short one is left
    assert cache.room == GROWTH_TOKENS
    check(cache, 2, stored[2])


def test_a_prompt_moves_into_each_row_of_another_cache(spec: WhisperSpec) -> None:
    source, target, random = SelfCache(spec, n_rows=2), SelfCache(spec, n_rows=6), np.random.RandomState(0)
    keys, values = some(random, 7)
    source.fill(slice(1, 2), 0, keys, values)
    target.fit(100, slice(0, 0))
    target.take_over(source, 1, slice(2, 5), 7)
    for row in range(2, 5):
        check(target, row, list(zip(keys, values, strict=True)))
    assert not target.keys[:, [0, 1, 5]].any()


def test_views_are_contiguous_and_no_copies(spec: WhisperSpec) -> None:
    cross = CrossCache(spec, n_rows=4)
    for name, view in {**cross.views(1, 2), **SelfCache(spec, 5).views(2, 3)}.items():
        assert view.flags.c_contiguous, name
    cross.views(2, 1)["cross_keys.1"][:] = 7
    assert (cross.keys[1, 2] == 7).all()
    assert not cross.keys[1, 1].any()
    cross.copy(2, 0)
    assert (cross.keys[1, 0] == 7).all()
