"""Benchmark with the scripted engine: rates, rounds of clips, the choice of BATCH_SIZE, and errors of requests."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from asr_api import compose
from asr_api.audio.sources.open_reference import open_reference
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.benchmark.measure import Benchmark, Kind, Measurement, best_slots
from asr_api.benchmark.speech import MINUTE
from asr_api.engines.protocol import EngineOptions
from asr_api.errors import AudioTooShort
from asr_api.options import TranscribeOptions
from asr_api.settings.settings import read_settings
from tests.engines.scripted import Script, ScriptedEngine
from tests.server.running import wav

pytestmark = pytest.mark.anyio
STEP_S = 0.05


def open_with_slots(script: Script, options: EngineOptions) -> ScriptedEngine:
    return ScriptedEngine(replace(script, n_slots=options.n_slots))


@pytest.fixture(autouse=True)
def _scripted_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each step takes STEP_S and finishes every window in the engine, so that more slots mean more speed."""
    monkeypatch.setattr(compose, "resolve_checkpoint", lambda *_, **__: tmp_path)
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
    file, one, four, two_slots, eight_slots = await measure(MINUTE, (1, 4), (8,), 10)
    assert (file.kind, one.number, four.number, two_slots.number, eight_slots.number) == ("file", 1, 4, 2, 8)
    one_at_once, two_at_once = 10 / STEP_S, 2 * 10 / STEP_S
    assert 0.3 * one_at_once < one.rtfx <= one_at_once
    assert 0.3 * two_at_once < four.rtfx <= two_at_once
    assert two_slots.rtfx < eight_slots.rtfx
    for row in (file, one, four, two_slots, eight_slots):
        assert row.rtfx_range[0] <= row.rtfx <= row.rtfx_range[1]
        assert STEP_S <= row.p50_s <= row.p95_s
        assert row.cpu_s["service"] > 0
        assert row.peak_bytes > 20_000_000


async def test_an_error_of_a_request_ends_the_benchmark(tmp_path: Path) -> None:
    (tmp_path / "short.wav").write_bytes(wav(1, word_s=0.01, pause_s=0.01))
    with pytest.raises(AudioTooShort):
        await measure(tmp_path / "short.wav", (1,), (), 1)


def row_of(kind: Kind, number: int, rtfx: float) -> Measurement:
    return Measurement(kind, number, rtfx, (rtfx, rtfx), 1.0, 1.0, {}, 0)


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
async def test_the_best_slots_are_the_fewest_within_noise_of_the_fastest(
    rates: dict[int, float], best: int | None
) -> None:
    clients = [row_of("clients", 1, 1000.0)]
    assert best_slots([*clients, *(row_of("slots", number, rtfx) for number, rtfx in rates.items())]) == best
