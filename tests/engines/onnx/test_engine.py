"""The ONNX engine on small random checkpoints: the engine contract, compute types, storage formats and limits."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

import numpy as np
import psutil
import pytest

from asr_api.engines.onnx import compute_types
from asr_api.engines.onnx.session import Call
from asr_api.engines.protocol import ComputeType, Engine, WindowJob
from asr_api.errors import CheckpointError
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from asr_api.transcript import WindowTranscript
from tests.engines.sounds import sound
from tests.engines.transcribing import open_onnx, plain_transcripts, tokens_of, transcribe
from tests.engines.whisper_checkpoints import SMALL, SMALL_EN, change_json, write_checkpoint
from tests.engines.whisper_contract import WhisperContract


@pytest.fixture
def amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allows bfloat16 on processors without AMX, where it is only slower."""
    monkeypatch.setattr(compute_types, "has_bfloat16_products", lambda: True)


class TestContract(WhisperContract):
    open = staticmethod(open_onnx)
    mixed_options = (
        DecodeOptions(),
        DecodeOptions(language="fr", task="translate", words=True),
        DecodeOptions(timestamps=False, prompt="once upon a time", temperatures=(0.0, 0.6)),
        DecodeOptions(languages=("ja", "ko"), temperatures=(0.8,)),
        DecodeOptions(language="de", hotwords="Ahab, Ishmael", words=True, temperatures=(0.0,)),
        DecodeOptions(temperatures=(0.4, 1.0)),
    )

    def pcm(self, engine: Engine, index: int) -> Pcm:
        """One window is silent, another is noise."""
        pcm = super().pcm(engine, index)
        noise = np.random.RandomState(index).randint(-3000, 3000, len(pcm)).astype(np.int16)
        return {3: np.zeros_like(pcm), 5: noise}.get(index, pcm)


@pytest.mark.parametrize("compute_type", ["int8", "int8_bfloat16"])
@pytest.mark.usefixtures("amx")
def test_8_bit_tokens_are_independent_of_the_batch(folders: dict[str, Path], compute_type: ComputeType) -> None:
    windows = [sound(3 * (0.2 + 0.1 * (seed % 9)), seed) for seed in range(9)]
    engine = open_onnx(folders["multilingual"], n_slots=9, compute_type=compute_type)
    assert engine.info.compute_type == compute_type
    together = tokens_of(transcribe(engine, windows))
    assert tokens_of(transcribe(engine, windows[::-1]))[::-1] == together
    assert [transcribe(engine, [window])[0].tokens for window in windows] == together


def test_windows_get_the_same_text_after_memory_ran_out(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled and admitted again, as the worker does it, wherever the exception came."""
    windows = [sound(2.5, seed) for seed in range(6)]
    engine = open_onnx(folders["multilingual"], n_slots=6)
    expected = plain_transcripts(engine, windows)
    calls, run, num_failures = count(), Call.run, 0

    def fail_now_and_then(call: Call) -> None:
        if (number := next(calls)) < 300 and number % 23 == 7:
            raise MemoryError
        run(call)

    monkeypatch.setattr(Call, "run", fail_now_and_then)
    left = {number: WindowJob(number, pcm, DecodeOptions()) for number, pcm in enumerate(windows)}
    done: dict[int, WindowTranscript] = {}
    engine.admit([*left.values()])
    while left:
        try:
            finished = engine.step()
        except MemoryError:
            num_failures += 1
            engine.cancel([*left])
            assert engine.free_slots == 6
            engine.admit([*left.values()])
            continue
        for job in finished:
            done[job.job_id] = job.transcript
            del left[job.job_id]
    assert num_failures == 13
    assert [done[number] for number in range(6)] == expected


def test_fallback_beside_other_windows(folders: dict[str, Path]) -> None:
    """Samples at several temperatures, in groups that share their window's cross-attention cache."""
    windows = [sound(2.5, seed) for seed in range(6)]
    fallback = DecodeOptions(language="en", temperatures=(0.0, 0.7, 0.9))
    sampled = DecodeOptions(language="de", prompt="once upon a time", temperatures=(0.7,))
    engine = open_onnx(folders["multilingual"], n_slots=3)
    alone = [transcribe(engine, [window], fallback)[0] for window in windows]
    together = transcribe(engine, windows, [fallback if index % 2 else sampled for index in range(6)])
    assert tokens_of(together[1::2]) == tokens_of(alone[1::2])
    assert tokens_of(alone) != tokens_of(transcribe(engine, windows))  # some windows did fall back


def test_stored_output_projection_is_used_only_if_untied(tmp_path: Path) -> None:
    plain, tied, untied = (
        transcribe(open_onnx(write_checkpoint(tmp_path / name, SMALL, output_projection=name)), [sound(3, 0)])
        for name in ("", "copy", "other")
    )
    assert tied == plain != untied


def test_window_past_max_new_tokens_is_resumed(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["english"], n_slots=2, max_new_tokens=12)
    (first,) = transcribe(engine, [sound(3, 1)])
    assert first.num_tokens >= 12
    assert first.resume_ms is not None
    assert first.segments[-1].end_ms == first.resume_ms >= 1000
    (rest,) = transcribe(engine, [sound(3, 1)[first.resume_ms * 16 :]])
    assert rest.segments


def test_info(folders: dict[str, Path]) -> None:
    info = open_onnx(folders["english"], flash_attention_2=True).info
    assert info.device_name.startswith("CPU (")
    assert (info.languages, info.window_s) == (("en",), 3.0)
    assert ["no effect on a CPU" in note for note in info.notes] == [True, False]
    assert len(open_onnx(folders["english"]).info.notes) == 1


def test_idle_engine_uses_no_cpu(folders: dict[str, Path]) -> None:
    engine = open_onnx(folders["multilingual"], num_threads=2)
    transcribe(engine, [sound(3, 0), sound(3, 1)])
    time.sleep(0.1)
    before = psutil.Process().cpu_times()
    time.sleep(0.4)
    after = psutil.Process().cpu_times()
    assert (after.user + after.system) - (before.user + before.system) < 0.08


@pytest.mark.parametrize("compute_type", ["float32", "int8", "int8_bfloat16"])
@pytest.mark.usefixtures("amx")
def test_nan_logits_are_refused_at_start(tmp_path: Path, compute_type: ComputeType) -> None:
    path = write_checkpoint(tmp_path, SMALL) / "model.safetensors"
    path.write_bytes(path.read_bytes()[: -4 * SMALL.n_state] + np.full(SMALL.n_state, np.nan, np.float32).tobytes())
    with pytest.raises(CheckpointError, match="weights are broken"):
        open_onnx(tmp_path, compute_type=compute_type).warm_up()


def test_heads_that_the_attention_cannot_take_are_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, SMALL_EN)
    change_json(folder / "config.json", decoder_attention_heads=SMALL_EN.n_state // 4)
    with pytest.raises(CheckpointError, match="heads of 4 values, and this engine needs a multiple of 8"):
        open_onnx(folder)
