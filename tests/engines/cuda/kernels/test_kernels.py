"""Every kernel equals its PyTorch reference op in float32, at odd shapes; inactive rows leave no trace."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from asr_api.engines.cuda import reference_ops
from asr_api.engines.cuda.decode_state import DecodeState, RowInit, open_decode_state
from asr_api.engines.cuda.filter_tables import FilterTables
from asr_api.engines.cuda.kernels import cross_attention as cross
from asr_api.engines.cuda.kernels.layer_norm import launch_add_layer_norm
from asr_api.engines.cuda.kernels.sample import launch_sample
from asr_api.engines.cuda.kernels.self_attention import launch_self_attention

pytestmark = [
    pytest.mark.parity,
    # Triton's interpreter computes in numpy.
    pytest.mark.filterwarnings("ignore:(divide by zero|invalid value|overflow) encountered"),
]

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# ‖out − reference‖ / ‖reference‖, the reference in float32 on the same rounded inputs
LIMITS = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
SHAPES = [(1, 2, 301, 64), (5, 2, 150, 32), (5, 2, 70, 64)]  # n_rows, n_head, n_ctx, d_head
if DEVICE.type == "cpu":
    del LIMITS[torch.bfloat16]  # the interpreter does not compute in it
else:
    SHAPES.append((24, 20, 1500, 64))  # of whisper-large-v3


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(6)


def random(*dims: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*dims, device=DEVICE).to(dtype)


def error(out: Tensor, reference: Tensor) -> float:
    return float((out.float() - reference).norm() / reference.norm())


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("n_slots", [3, 24])
@pytest.mark.parametrize(("n_rows", "n_head", "n_ctx", "d_head"), SHAPES)
def test_cross_attention(n_rows: int, n_head: int, n_ctx: int, d_head: int, n_slots: int, dtype: torch.dtype) -> None:
    rows = torch.arange(n_rows, device=DEVICE)
    slot_of_row, is_active = (rows * 2 % n_slots).int(), rows % 5 != 2
    query = random(n_rows, 1, n_head, d_head, dtype=dtype)[:, 0]
    keys, values = (random(n_slots, n_head, n_ctx, d_head, dtype=dtype) for _ in range(2))
    reference = reference_ops.cross_attention(query.float(), keys.float(), values.float(), slot_of_row, is_active)
    unused = ~torch.isin(torch.arange(n_slots, device=DEVICE), slot_of_row[is_active])
    keys[unused], values[unused] = torch.nan, torch.nan
    out = cross.launch_cross_attention(query, keys, values, slot_of_row, is_active)
    assert error(out, reference) < LIMITS[dtype]
    assert (out[~is_active] == 0).all()


def test_cross_attention_with_more_rows_of_a_slot_than_a_tile_and_large_scores() -> None:
    slot_of_row, is_active = torch.zeros(24, dtype=torch.int32, device=DEVICE), torch.ones(24, device=DEVICE) > 0
    query, keys, values = random(24, 1, 32) * 100, random(1, 1, 200, 32), random(1, 1, 200, 32)
    out = cross.launch_cross_attention(query, keys, values, slot_of_row, is_active)
    assert error(out, reference_ops.cross_attention(query, keys, values, slot_of_row, is_active)) < 1e-5


def test_positions_are_split_until_the_gpu_is_full() -> None:
    for n_programs in (1, 20, 160, 1280, 5120):
        span = cross.split_span(n_programs, 1500)
        assert span % cross.BLOCK == 0
        assert span >= cross.MIN_SPAN
        assert span <= 1536
    assert cross.split_span(20, 1500) < 2 * cross.MIN_SPAN
    assert cross.split_span(5120, 1500) >= 1500


@pytest.mark.parametrize("dtype", LIMITS)
def test_self_attention(dtype: torch.dtype) -> None:
    n_rows, n_head, n_ctx, d_head = 4, 2, 150, 64
    query, key, value = random(n_rows, 3, n_head, d_head, dtype=dtype).unbind(1)
    positions = torch.tensor([0, 63, 99, 149], dtype=torch.int32, device=DEVICE)
    is_active = torch.tensor([True, True, False, True], device=DEVICE)
    caches = random(n_rows, n_head, n_ctx, d_head, dtype=dtype), random(n_rows, n_head, n_ctx, d_head, dtype=dtype)
    expected = caches[0].float(), caches[1].float()
    reference = reference_ops.self_attention(query.float(), key.float(), value.float(), expected, positions, is_active)
    for cache in caches:
        cache[0, :, 1:], cache[1, :, 64:], cache[2] = torch.nan, torch.nan, torch.nan  # not written yet
    out = launch_self_attention(query, key, value, caches, positions, is_active)
    assert error(out[is_active], reference[is_active]) < LIMITS[dtype]
    assert (out[2] == 0).all()
    assert caches[0][2].isnan().all()
    for cache, new in zip(caches, (key, value), strict=True):
        for row in (0, 1, 3):
            assert (cache[row, :, positions[row]] == new[row]).all()


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("n_state", [100, 1280])
def test_add_layer_norm(n_state: int, dtype: torch.dtype) -> None:
    x, residual = random(3, 2, n_state, dtype=dtype) + 5, random(3, 2, n_state, dtype=dtype)
    weight, bias = random(n_state, dtype=dtype), random(n_state, dtype=dtype)
    total, normed = launch_add_layer_norm(x, residual, weight, bias)
    assert (total == x + residual).all()
    _, reference = reference_ops.add_layer_norm(
        total.float(), torch.zeros_like(total).float(), weight.float(), bias.float()
    )
    assert error(normed, reference) < LIMITS[dtype]


N_VOCAB, END, TIMESTAMP_BEGIN, N_ROWS = 9001, 8400, 8500, 7
ADDED_BEGIN = 8990  # text tokens behind the timestamps


@pytest.fixture(params=[N_VOCAB, ADDED_BEGIN])
def tables(request: pytest.FixtureRequest) -> FilterTables:
    """param: the end of the timestamps"""
    suppressed = torch.zeros(N_VOCAB, dtype=torch.bool, device=DEVICE)
    suppressed[torch.tensor([1, 7, 4200, TIMESTAMP_BEGIN - 3])] = True
    first = torch.zeros_like(suppressed)
    first[torch.tensor([220, END])] = True
    return FilterTables(suppressed, first, END, TIMESTAMP_BEGIN, request.param, TIMESTAMP_BEGIN + 50)


def started_rows() -> DecodeState:
    """Greedy and sampled, with and without timestamps; the third is inactive."""
    state = open_decode_state(N_ROWS, 40, DEVICE)
    rng = np.random.default_rng(6)
    temperatures = [0, 0, 0, 0.2, 1.0, 0.8, 0]
    inits = [
        RowInit(row, row, 5, 3, row not in (1, 5), temperature, rng.random(40) if temperature else None)
        for row, temperature in enumerate(temperatures)
    ]
    state.start_rows(inits, TIMESTAMP_BEGIN)
    state.end_position[6] = 9
    state.is_active[2] = False
    return state


def kind_of(token: int, tables: FilterTables) -> str:
    if token >= tables.timestamp_end:
        return "added"
    return "timestamp" if token >= TIMESTAMP_BEGIN else "end" if token == END else "text"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_sample(dtype: torch.dtype, tables: FilterTables) -> None:
    """Twelve steps, in which timestamps, text, text behind the timestamps and the end are likely in turn."""
    state, expected = started_rows(), started_rows()
    kinds = set()
    for step in range(12):
        logits = torch.randn(N_ROWS, N_VOCAB, device=DEVICE) * 2
        logits[:, TIMESTAMP_BEGIN : tables.timestamp_end] += 4 * (step % 3 == 1)
        logits[:, tables.timestamp_end :] += 5 * (step % 3 == 2)
        logits[:, END] += 9 * (step > 9)
        logits = logits.to(dtype)  # float16 has ties
        launch_sample(logits, state, tables)
        reference_ops.sample(logits, expected, tables)
        for name in DecodeState.__dataclass_fields__:
            ours, theirs = getattr(state, name), getattr(expected, name)
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5, msg=f"{name} at step {step}")
        assert (state.out_tokens == expected.out_tokens).all()
        kinds |= {kind_of(token, tables) for token in state.tokens.tolist()}
    assert kinds == {"end", "text", "timestamp"} | ({"added"} if tables.timestamp_end < N_VOCAB else set())
    assert state.num_sampled[2] == 0
    assert state.positions[6] <= 9


def test_nan_logits_give_a_nan_log_probability(tables: FilterTables) -> None:
    logits = torch.randn(N_ROWS, N_VOCAB, device=DEVICE)
    logits[:, 3000], logits[:, TIMESTAMP_BEGIN + 3] = torch.nan, torch.nan
    state = started_rows()
    launch_sample(logits, state, tables)
    assert state.out_logprobs[state.num_sampled > 0, 0].isnan().all()
    assert ((state.tokens >= 0) & (state.tokens < N_VOCAB)).all()
