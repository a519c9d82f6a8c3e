from __future__ import annotations

from pathlib import Path

import numpy as np

from asr_api.engines.onnx.caches import GROWTH_TOKENS, Caches
from asr_api.engines.whisper.spec import read_spec
from tests.engines.checkpoints import SMALL, write_checkpoint

N_LAYER, N_HEAD, D_HEAD = SMALL.n_text_layer, SMALL.n_head, SMALL.n_state // SMALL.n_head


def test_what_rows_said_survives_growing_shrinking_and_moving(tmp_path: Path) -> None:
    """Rows of different lengths against plain lists of what was stored."""
    caches = Caches(read_spec(write_checkpoint(tmp_path, SMALL)), n_slots=3)
    random = np.random.RandomState(0)
    stored: list[list[tuple[np.ndarray, np.ndarray]]] = [[], [], []]

    def step() -> None:
        positions = np.array([len(row) for row in stored])
        inputs = caches.step_inputs(positions)
        if positions.max() % GROWTH_TOKENS in (0, 1, 2, GROWTH_TOKENS - 1):  # around each change of room
            check(inputs, positions)
        keys, values = random.standard_normal((2, N_LAYER, len(stored), N_HEAD, D_HEAD)).astype(np.float32)
        caches.store(positions, keys, values)
        for index, row in enumerate(stored):
            row.append((keys[:, index], values[:, index]))

    def check(inputs: dict[str, np.ndarray], positions: np.ndarray) -> None:
        n_cached = inputs["self_mask"].shape[-1]
        assert n_cached == (positions.max() // GROWTH_TOKENS + 1) * GROWTH_TOKENS
        assert ((inputs["self_mask"][:, 0, 0] == 0).sum(axis=1) == positions).all()
        for index, row in enumerate(stored):
            for layer in range(N_LAYER):
                for at, (key, value) in enumerate(row):
                    np.testing.assert_array_equal(inputs[f"self_keys.{layer}"][index, :, :, at], key[layer])
                    np.testing.assert_array_equal(inputs[f"self_values.{layer}"][index, :, at], value[layer])

    for _ in range(GROWTH_TOKENS - 1):
        step()
    stored[1].clear()  # a new window in row 1
    for _ in range(3):
        step()  # rows 0 and 2 outgrow the first room
    caches.move(2, 0)
    stored[0] = stored.pop()  # row 0 is done, row 2 fills it
    step()
    caches.move(1, 0)
    stored[0] = stored.pop()  # only the short one is left: the room shrinks
    step()
    assert caches.self_values.shape[3] == GROWTH_TOKENS


def test_unused_slots_take_no_copies_and_views_are_contiguous(tmp_path: Path) -> None:
    caches = Caches(read_spec(write_checkpoint(tmp_path, SMALL)), n_slots=4)
    views = {**caches.cross_views(2), **caches.step_inputs(np.array([0, 5, 2]))}
    for name, view in views.items():
        assert view.flags.c_contiguous, name
    caches.cross_views(2)["cross_keys.1"][:] = 7
    assert (caches.cross_keys[1, 2] == 7).all()
    assert (caches.cross_keys[1, 1] == 0).all()
