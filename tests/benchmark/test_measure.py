"""Benchmark with the scripted engine: rates, rounds of clips, and the choice of BATCH_SIZE."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from asr_api import compose
from asr_api.audio.sources.open_reference import open_reference
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.benchmark.measure import Benchmark, Measurement, best_slots
from asr_api.benchmark.speech import MINUTE
from asr_api.engines.checkpoints.resolve import CheckpointFiles
from asr_api.engines.protocol import EngineOptions
from asr_api.options import TranscribeOptions
from asr_api.settings.settings import read_settings
from tests.engines.scripted import Script, ScriptedEngine

pytestmark = pytest.mark.anyio
STEP_S = 0.05


def open_with_slots(script: Script, options: EngineOptions) -> ScriptedEngine:
    return ScriptedEngine(replace(script, n_slots=options.n_slots))


@pytest.fixture(autouse=True)
def _scripted_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each step takes STEP_S and finishes every window in the engine, so more slots are faster."""
    monkeypatch.setattr(compose, "resolve_checkpoint", lambda *_, **__: CheckpointFiles(tmp_path))
    monkeypatch.setattr(compose, "open_engine", partial(open_with_slots, Script(step_s=STEP_S)))
    monkeypatch.setenv("CACHE_DIR", str(tmp_path))


async def measure(path: Path, clients: tuple[int, ...], slots: tuple[int, ...], time_s: float) -> list[Measurement]:
    benchmark = Benchmark(read_settings({"batch_size": "2"}), TranscribeOptions(), clients, slots, time_s)
    async with (
        await open_reference(str(path), MediaPolicy(), is_local_client=True) as recording,
        aclosing(benchmark.rows(recording)) as rows,
    ):
        return [row async for row in rows]


async def test_rates_are_those_of_the_engine() -> None:
    rows = await measure(MINUTE, (1, 4), (8,), 10)
    assert [row.number for row in rows[1:]] == [1, 4, 2, 8]
    file, one_client, four_clients, two_slots, eight_slots = rows
    assert file.kind == "file"
    assert 0.3 < one_client.rtfx / (10 / STEP_S) <= 1
    assert 0.3 < four_clients.rtfx / (2 * 10 / STEP_S) <= 1
    assert two_slots.rtfx < eight_slots.rtfx
    for row in rows:
        assert row.rtfx_range[0] <= row.rtfx <= row.rtfx_range[1]
        assert STEP_S <= row.p50_s <= row.p95_s
        assert row.cpu_s["service"] > 0
        assert row.peak_bytes > 20_000_000


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ({4: 80, 8: 97, 16: 100, 32: 90}, 8),
        ({4: 80, 8: 94, 16: 100, 32: 90}, 16),
        ({4: 100, 8: 97}, 4),
        ({8: 97}, None),
        ({}, None),
    ],
)
async def test_the_best_slots_are_the_fewest_within_noise(rates: dict[int, float], best: int | None) -> None:
    rows = [Measurement("clients", 1, 1000.0, (0, 0), 1, 1, {}, 0)]
    rows += [Measurement("slots", number, rtfx, (0, 0), 1, 1, {}, 0) for number, rtfx in rates.items()]
    assert best_slots(rows) == best
