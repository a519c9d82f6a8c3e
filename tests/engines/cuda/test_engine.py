"""The CUDA engine in float32, on a card if there is one: the contract, and the tokens of transformers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from asr_api.engines import select
from asr_api.engines.cuda.encoding import WindowEncoder
from asr_api.engines.cuda.engine import CudaEngine, _kernel_notes
from asr_api.engines.cuda.kernels.triton_language import launch_error
from asr_api.engines.protocol import Engine, EngineOptions, WindowJob
from asr_api.errors import CheckpointError, InvalidParameter
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from tests.engines.contract import EngineContract
from tests.engines.cuda.cuda_engines import DEVICE, open_cuda
from tests.engines.golden_tokens import SEED, SHAPES, File, read_golden_windows
from tests.engines.sounds import sound
from tests.engines.transcribing import TracingBuilder, transcribe
from tests.engines.whisper_checkpoints import SMALL_EN, write_checkpoint

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

# Two texts whose scores, -469.2151, differ in the last bit of a float32: which of them is better is rounding.
NEAR_TIE = ("mels128", 2, 10)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: write_checkpoint(root / name, shape, SEED) for name, shape in SHAPES.items()}


class TestContract(EngineContract):
    @pytest.fixture
    def engine(self, folders: dict[str, Path]) -> Iterator[Engine]:
        engine = open_cuda(folders["multilingual"])
        yield engine
        engine.close()


@pytest.mark.parametrize("file", ["tokens", "options"])
@pytest.mark.parametrize("name", SHAPES)
def test_tokens_equal_transformers(name: str, file: File, folders: dict[str, Path]) -> None:
    windows = [window for window in read_golden_windows(file) if window.shape == name]
    for beam_size in sorted({window.beam_size for window in windows}):
        batch = [window for window in windows if window.beam_size == beam_size]
        engine = open_cuda(folders[name], beam_size=beam_size, n_slots=3)
        transcripts = transcribe(
            engine, [sound(window.seconds, window.seed) for window in batch], [window.options for window in batch]
        )
        for ours, window in zip(transcripts, batch, strict=True):
            assert ours.prompt == window.prompt, window
            assert ours.tokens == window.tokens or (name, beam_size, window.seed) == NEAR_TIE, window


def test_late_windows_say_the_same_as_alone(folders: dict[str, Path]) -> None:
    windows = [sound(3 * (0.2 + 0.1 * (seed % 9)), seed) for seed in range(9)]
    engine = open_cuda(folders["english"], n_slots=3)
    assert [each.tokens for each in transcribe(engine, windows)] == [
        transcribe(engine, [pcm])[0].tokens for pcm in windows
    ]


def test_what_was_heard_is_written_though_more_comes_in_all_the_time(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ear is busy from the moment in which it is given windows until the next step, as on a graphics card."""
    busy: set[WindowEncoder] = set()

    class BusyEar(WindowEncoder):
        @property
        def is_done(self) -> bool:
            return self not in busy and super().is_done

        def hear(self, windows: Sequence[Pcm], slots: Sequence[int]) -> int:
            busy.add(self)
            return super().hear(windows, slots)

    monkeypatch.setattr("asr_api.engines.cuda.engine.WindowEncoder", BusyEar)
    engine = open_cuda(folders["english"], n_slots=8)
    for job_id in range(8):
        engine.admit([WindowJob(job_id, sound(3, job_id), DecodeOptions(temperatures=(0.0,)))])
        engine.step()
        engine._machine.settle()
        busy.clear()
        assert len(engine._heard) <= 1
    engine.close()


def test_where_kernels_cannot_be_launched_somebody_is_told(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if DEVICE == "cpu":  # the attempt fails for want of a card, on machines with one for want of a compiler
        launch_error.cache_clear()
        assert "C compiler" in launch_error() or "not installed" in launch_error()
        assert ("can't launch" in caplog.text) == (find_spec("triton") is not None)
    monkeypatch.setattr("asr_api.engines.cuda.engine.launch_error", lambda: "there is no compiler")
    machine = dataclasses.replace(open_cuda(folders["english"])._machine, device=torch.device("cuda"))
    assert _kernel_notes(machine) == ("Decoding is slower than it could be on this GPU: there is no compiler.",)


def test_a_window_that_is_tried_again_can_be_cancelled(folders: dict[str, Path]) -> None:
    engine = open_cuda(folders["multilingual"], n_slots=3)
    expected = transcribe(engine, [sound(3, 0)])[0]
    for num_steps in (1, 2, 5, 9, 14, 20, 27):
        jobs = [WindowJob(index, sound(2.5, index), DecodeOptions()) for index in range(7, 10)]
        engine.admit(jobs)
        done = {each.job_id for _ in range(num_steps) for each in engine.step()}
        engine.cancel([7, 8, 9])
        assert engine.free_slots == engine.info.n_slots
        assert engine.step() == []
        assert done <= {7, 8, 9}
        assert transcribe(engine, [sound(3, 0)])[0] == expected


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_shards_say_what_the_same_values_say_in_float32(dtype: str, tmp_path: Path) -> None:
    narrow = write_checkpoint(tmp_path / "narrow", dataclasses.replace(SMALL_EN, dtype=dtype, num_shards=3))
    wide = write_checkpoint(tmp_path / "wide", SMALL_EN, rounded_to=dtype)
    windows = [sound(3, 0), sound(2, 1)]
    heard = [[each.tokens for each in transcribe(open_cuda(folder), windows)] for folder in (narrow, wide)]
    assert heard[0] == heard[1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_computes_numbers(dtype: torch.dtype, folders: dict[str, Path]) -> None:
    folder = folders["english"]
    options = EngineOptions(folder.name, folder, n_slots=2, num_threads=1, flash_attention_2=True)
    engine = CudaEngine(options, TracingBuilder, device=DEVICE, dtype=dtype)
    engine.warm_up()
    heard = transcribe(engine, [sound(2, 1), sound(3, 2)])
    assert all(each.segments for each in heard)
    assert DEVICE == "cuda" or engine.info.notes == ("FLASH_ATTENTION_2 has no effect on a CPU: it is a GPU kernel.",)


def test_memory_that_is_short_makes_batches_smaller_and_no_request_fail(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_cuda(folders["english"], n_slots=4)
    windows = [sound(2, seed) for seed in range(4)]
    expected = transcribe(engine, windows)
    ear, hear, sizes = engine._ear, engine._ear._hear, []

    def hear_one(pcms: list[np.ndarray], places: list[int]) -> None:
        sizes.append(len(pcms))
        if len(pcms) > 1:
            raise torch.OutOfMemoryError("two are too many")
        hear(pcms, places)

    monkeypatch.setattr(ear, "_hear", hear_one)
    assert [each.tokens for each in transcribe(engine, windows)] == [each.tokens for each in expected]
    assert sizes == [2, 1, 1, 1, 1]
    assert ear.max_batch == 1


def test_a_lost_device_ends_the_process(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelling is what the service does after an error: it must not look as if this engine went on."""
    engine = open_cuda(folders["english"])
    engine._is_broken = True
    with pytest.raises(RuntimeError, match="has to end"):
        engine.cancel([1])


def test_a_card_chooses_this_engine(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "DRIVERS", (str(tmp_path),))
    options = EngineOptions("any", folders["english"], n_slots=1, num_threads=1)
    for is_there, engine in ((True, "cuda"), (False, "onnx")):
        monkeypatch.setattr("asr_api.engines.cuda.device.is_available", lambda is_there=is_there: is_there)
        if engine == "cuda" or find_spec("onnxruntime"):
            assert select.open_engine(options).info.engine == engine


def test_what_the_model_cannot_do_is_refused(folders: dict[str, Path]) -> None:
    engine = open_cuda(folders["english"])
    with pytest.raises(InvalidParameter, match="translate"):
        engine.admit([WindowJob(0, sound(1, 0), DecodeOptions(task="translate"))])
    assert engine.free_slots == 4


def test_weights_that_are_no_numbers_are_told_at_the_start(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "broken", dataclasses.replace(SMALL_EN, logit_gain=float("nan")))
    with pytest.raises(CheckpointError, match="broken"):
        open_cuda(folder).warm_up()


@pytest.mark.skipif(DEVICE == "cpu", reason="there is no graphics card")
def test_graphs_say_what_single_steps_say(folders: dict[str, Path]) -> None:
    windows = [sound(3 * (0.2 + 0.1 * (seed % 9)), seed) for seed in range(9)]
    options = DecodeOptions(timestamps=False)
    heard = [
        transcribe(open_cuda(folders["multilingual"], n_slots=5, has_graphs=has_graphs), windows, options)
        for has_graphs in (False, True)
    ]
    assert [each.tokens for each in heard[0]] == [each.tokens for each in heard[1]]


@pytest.mark.skipif(DEVICE == "cpu", reason="there is no graphics card")
@pytest.mark.parametrize("wants_flash", [True, False])
def test_half_precision_says_almost_the_same_on_a_card(wants_flash: bool, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "wide", dataclasses.replace(SMALL_EN, n_state=128, n_head=2))
    windows = [sound(3, seed) for seed in range(8)]
    expected = [each.tokens for each in transcribe(open_cuda(folder), windows)]
    options = EngineOptions(folder.name, folder, n_slots=4, max_new_tokens=448, flash_attention_2=wants_flash)
    engine = CudaEngine(options, TracingBuilder)
    engine.warm_up()
    heard = [each.tokens for each in transcribe(engine, windows)]
    same = sum(ours[:8] == theirs[:8] for ours, theirs in zip(heard, expected, strict=True))
    assert same >= 6, "rounding may turn a token or two, not most"
    assert engine.info.notes == ()


def test_a_step_asks_the_host_nothing(folders: dict[str, Path]) -> None:
    """Tensors without values run through it: whoever wanted to know one would raise, and could not be in a graph."""
    engine = open_cuda(folders["english"], has_graphs=False)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        engine._bursts._step(3)
        with pytest.raises(RuntimeError):
            bool(engine._writer._rows.is_active.any())
