"""Log-mel, logit filters and sampling on the device equal the numpy implementations; memory plans fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from asr_api.engines.cuda import reference_ops
from asr_api.engines.cuda.decode_state import RowInit, open_decode_state
from asr_api.engines.cuda.filter_tables import build_filter_tables
from asr_api.engines.cuda.kv_cache import row_bytes, slot_bytes
from asr_api.engines.cuda.logmel import LogMel
from asr_api.engines.cuda.memory_plan import encoding_bytes, num_rows, plan_memory
from asr_api.engines.whisper import sampling
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.logit_filters import LogitFilters, TokenHistory
from asr_api.engines.whisper.logmel import log_mel
from asr_api.engines.whisper.token_kinds import TokenKinds
from tests.engines.sounds import sound
from tests.engines.whisper_checkpoints import SMALL

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]
CPU = torch.device("cpu")
KINDS = TokenKinds(SMALL.end, SMALL.timestamps)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_log_mel_equals_numpy(n_mels: int) -> None:
    windows = [sound(3, 0), sound(1.234, 1), np.zeros(16_000, np.int16), np.full(7, 32_767, np.int16), sound(0.05, 2)]
    pcm = np.zeros((len(windows), 48_000), np.int16)
    for row, window in zip(pcm, windows, strict=True):
        row[: len(window)] = window
    mels = LogMel(n_mels, CPU)(torch.from_numpy(pcm)).numpy()
    for mel, window in zip(mels, windows, strict=True):
        np.testing.assert_allclose(mel, log_mel(window, n_mels, 300), atol=1e-4)


@pytest.mark.parametrize("spread", [1.0, 4.0, 12.0])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("num_added", [0, 3])
def test_sampling_equals_numpy(config: WhisperConfig, seed: int, spread: float, num_added: int) -> None:
    """Six rows, greedy and sampled, with and without timestamps; row 4 is inactive.

    num_added: text tokens behind the timestamps
    """
    rng = np.random.default_rng(seed)
    config = dataclasses.replace(config, n_vocab=config.n_vocab + num_added)
    n_rows, added = 6, slice(KINDS.timestamps.stop, None)
    filters, tables = LogitFilters(config, KINDS), build_filter_tables(config, KINDS, CPU)
    state = open_decode_state(n_rows, config.n_text_ctx, CPU)
    has_timestamps = [True, True, False, True, True, False]
    temperatures = [0.0, 0.4, 0.0, 1.0, 0.0, 0.8]
    uniforms = rng.random((n_rows, config.n_text_ctx)).astype(np.float32)
    active = [0, 1, 2, 3, 5]
    inits = [RowInit(row, 0, 1, 3, has_timestamps[row], temperatures[row], uniforms[row]) for row in active]
    state.start_rows(inits, KINDS.timestamps.start)
    sampled_tokens: list[list[int]] = [[] for _ in range(n_rows)]
    for step in range(8):
        logits = (spread * rng.standard_normal((n_rows, config.n_vocab))).astype(np.float32)
        logits[:, KINDS.timestamps.start : KINDS.timestamps.stop] -= rng.choice([-4, 0, 4, 8])
        logits[:, added] += rng.choice([-4, spread, 3 * spread])
        logits[:, SMALL.end] += rng.choice([-20, 4 * spread])
        reference_ops.sample(torch.from_numpy(logits.copy()), state, tables)
        filters.mask(logits, TokenHistory.of(sampled_tokens, KINDS.timestamps, has_timestamps))
        greedy = sampling.greedy(logits)
        positive = [max(temperature, 0.1) for temperature in temperatures]
        sampled = sampling.sample(logits, positive, uniforms[:, step].tolist())
        for row in active:
            choice = sampled if temperatures[row] else greedy
            assert int(state.out_tokens[row, step]) == choice.tokens[row]
            assert float(state.out_logprobs[row, step]) == pytest.approx(choice.logprobs[row], abs=1e-4)
            sampled_tokens[row].append(int(choice.tokens[row]))
        active = [row for row in active if sampled_tokens[row][-1] != SMALL.end]
        assert state.is_active.nonzero()[:, 0].tolist() == active
        assert state.positions[active].tolist() == [3 + step + 1] * len(active)
    assert int(state.num_sampled[4]) == 0


def test_row_stops_at_the_last_position(config: WhisperConfig) -> None:
    state = open_decode_state(1, 10, CPU)
    tables = build_filter_tables(config, KINDS, CPU)
    state.start_rows([RowInit(0, 0, 1, 5, has_timestamps=False)], tables.timestamp_begin)
    logits = torch.zeros(1, config.n_vocab)
    logits[0, 5] = 9
    for _ in range(7):
        reference_ops.sample(logits, state, tables)
    assert int(state.num_sampled[0]) == 4  # after six tokens of the prompt
    assert int(state.positions[0]) == 9


@pytest.mark.parametrize(("free_gib", "has_all"), [(8, False), (100, True)])
def test_plan_has_as_many_slots_as_fit(free_gib: int, has_all: bool, config: WhisperConfig) -> None:
    large = dataclasses.replace(
        config, n_state=1280, n_text_layer=32, n_audio_hidden=5120, n_audio_ctx=1500, n_text_ctx=448
    )
    half = torch.float16
    plan = plan_memory(large, half, 64, 1, free_gib * 2**30)
    assert plan is not None
    assert 1 <= plan.n_slots <= 64
    assert (plan.n_slots == 64) is has_all
    assert plan.n_rows == num_rows(plan.n_slots, 1)
    cached_bytes = plan.n_slots * slot_bytes(large, half) + plan.n_rows * row_bytes(large, half)
    assert cached_bytes + plan.max_batch * encoding_bytes(large, half) < free_gib * 2**30
    assert plan_memory(large, half, 64, 1, 2**29) is None
    assert plan_memory(large, half, 64, 1, None) is not None
