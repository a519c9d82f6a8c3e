"""The CUDA engine in float32, on a GPU if there is one: the contract, and the tokens of transformers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from asr_api.engines import select
from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.safetensors import SafetensorsReader
from asr_api.engines.cuda.decode_state import open_decode_state
from asr_api.engines.cuda.device import Device, choose_device
from asr_api.engines.cuda.device_window import DeviceWindow
from asr_api.engines.cuda.encoding import WindowEncoder
from asr_api.engines.cuda.filter_tables import build_filter_tables
from asr_api.engines.cuda.kernels.triton_language import launch_error
from asr_api.engines.cuda.kv_cache import allocate_kv_cache
from asr_api.engines.cuda.layers import Loader
from asr_api.engines.cuda.model import AudioEncoder, TextDecoder
from asr_api.engines.cuda.open_engine import open_cuda_engine, option_notes
from asr_api.engines.cuda.prefill import Prefill
from asr_api.engines.cuda.step_graphs import StepGraphs
from asr_api.engines.protocol import EngineOptions, WindowJob
from asr_api.engines.whisper.capabilities import ENGLISH_ONLY
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.engines.whisper.token_kinds import TokenKinds
from asr_api.errors import CheckpointError
from asr_api.options import DecodeOptions
from asr_api.pcm import Pcm
from tests.engines.ctranslate2_files import write_ctranslate2
from tests.engines.cuda.cuda_engines import DEVICE, open_cuda
from tests.engines.sounds import sound
from tests.engines.transcribing import TracingBuilder, tokens_of, transcribe
from tests.engines.whisper_checkpoints import SMALL_EN, write_checkpoint
from tests.engines.whisper_contract import WhisperContract

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


class TestContract(WhisperContract):
    open = staticmethod(open_cuda)
    near_ties: ClassVar = {("mels128", 2, 10)}  # scores, -469.2151, that differ in the last bit of a float32


def test_prefill_keeps_up_with_admission(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder is busy from the moment it gets windows until the next step, as on a GPU."""
    busy: set[WindowEncoder] = set()
    num_encoded, num_prefilled = 0, 0

    class BusyEncoder(WindowEncoder):
        @property
        def is_done(self) -> bool:
            return self not in busy and super().is_done

        def encode(self, windows: Sequence[Pcm], slots: Sequence[int]) -> int:
            nonlocal num_encoded
            busy.add(self)
            num = super().encode(windows, slots)
            num_encoded += num
            return num

    class CountingPrefill(Prefill):
        def run(self, windows: Sequence[DeviceWindow]) -> None:
            nonlocal num_prefilled
            num_prefilled += len(windows)
            super().run(windows)

    monkeypatch.setattr("asr_api.engines.cuda.open_engine.WindowEncoder", BusyEncoder)
    monkeypatch.setattr("asr_api.engines.cuda.open_engine.Prefill", CountingPrefill)
    engine = open_cuda(folders["english"], n_slots=8, has_graphs=False)
    for job_id in range(8):
        engine.admit([WindowJob(job_id, sound(3, job_id), DecodeOptions(temperatures=(0.0,)))])
        engine.step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        busy.clear()
        assert num_encoded == job_id + 1
        assert num_encoded - num_prefilled <= 1


def test_missing_kernels_are_noted_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if DEVICE == "cpu":  # the launch fails without a GPU, as it does on a GPU without a compiler
        launch_error.cache_clear()
        assert "C compiler" in launch_error() or "not installed" in launch_error()
        assert ("can't launch" in caplog.text) == (find_spec("triton") is not None)
    monkeypatch.setattr("asr_api.engines.cuda.open_engine.launch_error", lambda: "there is no compiler")
    cpu = choose_device(wants_flash=None, d_head=64, device="cpu", cpu_name="any CPU")
    gpu = dataclasses.replace(cpu, torch_device=torch.device("cuda"))
    options = EngineOptions("any", Path())
    assert option_notes(options, cpu, options.n_slots) == []
    assert option_notes(options, gpu, options.n_slots) == [
        "Decoding is slower than it could be on this GPU: there is no compiler."
    ]


def test_cancel_during_temperature_fallback(folders: dict[str, Path]) -> None:
    engine = open_cuda(folders["multilingual"], n_slots=3)
    expected = transcribe(engine, [sound(3, 0)])[0]
    for num_steps in (1, 2, 5, 9, 14, 20, 27):
        jobs = [WindowJob(index, sound(2.5, index), DecodeOptions()) for index in range(7, 10)]
        engine.admit(jobs)
        done = {finished.job_id for _ in range(num_steps) for finished in engine.step()}
        engine.cancel([7, 8, 9])
        assert engine.free_slots == engine.info.n_slots
        assert engine.step() == []
        assert done <= {7, 8, 9}
        assert transcribe(engine, [sound(3, 0)])[0] == expected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_computes_finite_logits(dtype: torch.dtype, folders: dict[str, Path]) -> None:
    engine = open_cuda(folders["english"], n_slots=2, dtype=dtype)
    engine.warm_up()
    assert all(result.segments for result in transcribe(engine, [sound(2, 1), sound(3, 2)]))


def test_flash_attention_on_a_cpu_is_noted() -> None:
    device = choose_device(wants_flash=True, d_head=64, device="cpu", cpu_name="any CPU")
    assert device.notes == ("FLASH_ATTENTION_2 has no effect on a CPU: it is a GPU kernel.",)


def test_out_of_memory_makes_encoder_batches_smaller(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_cuda(folders["english"], n_slots=4)
    windows = [sound(2, seed) for seed in range(4)]
    expected = tokens_of(transcribe(engine, windows))
    encode, batch_sizes = AudioEncoder.__call__, []

    def encode_if_single(encoder: AudioEncoder, log_mel: torch.Tensor) -> torch.Tensor:
        batch_sizes.append(len(log_mel))
        if len(log_mel) > 1:
            raise torch.OutOfMemoryError("two windows do not fit")
        return encode(encoder, log_mel)

    monkeypatch.setattr(AudioEncoder, "__call__", encode_if_single)
    assert tokens_of(transcribe(engine, windows)) == expected
    assert batch_sizes == [2, 1, 1, 1, 1]


def test_lost_device_ends_the_process(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The service cancels all jobs after an error; that must fail, too, or the process would seem to work."""
    engine = open_cuda(folders["english"])

    def fail(encoder: WindowEncoder, windows: Sequence[Pcm], slots: Sequence[int]) -> int:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(WindowEncoder, "encode", fail)
    for is_lost in (False, True):
        monkeypatch.setattr(Device, "is_lost", lambda _, is_lost=is_lost: is_lost)
        engine.admit([WindowJob(1, sound(1, 0), DecodeOptions())])
        with pytest.raises(RuntimeError, match="illegal"):
            engine.step()
        if not is_lost:
            engine.cancel([1])
    with pytest.raises(RuntimeError, match="has to end"):
        engine.cancel([1])


def test_gpu_selects_this_engine(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "DRIVERS", (str(tmp_path),))
    options = EngineOptions("any", folders["english"], n_slots=1, num_threads=1)
    for has_gpu, engine in ((True, "cuda"), (False, "onnx")):
        monkeypatch.setattr("asr_api.engines.cuda.device.is_available", lambda has_gpu=has_gpu: has_gpu)
        if engine == "cuda" or find_spec("onnxruntime"):
            assert select.open_engine(options).info.engine == engine


def test_nan_logits_are_refused_at_start(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "broken", dataclasses.replace(SMALL_EN, logit_gain=float("nan")))
    with pytest.raises(CheckpointError, match="broken"):
        open_cuda(folder).warm_up()


@pytest.mark.skipif(DEVICE == "cpu", reason="there is no GPU")
def test_cuda_graphs_equal_single_steps(folders: dict[str, Path]) -> None:
    windows = [sound(3 * (0.2 + 0.1 * (seed % 9)), seed) for seed in range(9)]
    options = DecodeOptions(timestamps=False)
    engines = [open_cuda(folders["multilingual"], n_slots=5, has_graphs=has_graphs) for has_graphs in (False, True)]
    ours, expected = (tokens_of(transcribe(engine, windows, options)) for engine in engines)
    assert ours == expected


@pytest.mark.skipif(DEVICE == "cpu", reason="there is no GPU")
@pytest.mark.parametrize("wants_flash", [True, False])
def test_half_precision_on_a_gpu_nearly_equals_float32(wants_flash: bool, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "wide", dataclasses.replace(SMALL_EN, n_state=128, n_head=2))
    windows = [sound(3, seed) for seed in range(8)]
    expected = tokens_of(transcribe(open_cuda(folder), windows))
    options = EngineOptions("any", folder, n_slots=4, max_new_tokens=448, flash_attention_2=wants_flash)
    engine = open_cuda_engine(options, TracingBuilder)
    engine.warm_up()
    ours = tokens_of(transcribe(engine, windows))
    num_same = sum(tokens[:8] == others[:8] for tokens, others in zip(ours, expected, strict=True))
    assert num_same >= 6, "rounding may change a token or two, not most"
    assert engine.info.notes == (ENGLISH_ONLY,)


def test_decode_step_does_not_synchronise_with_the_host(folders: dict[str, Path]) -> None:
    """Runs on tensors without values: reading a value would raise, and could not be captured in a CUDA graph."""
    folder, device = folders["english"], torch.device(DEVICE)
    config = read_whisper_config(open_checkpoint(folder))
    decoder = TextDecoder(config, Loader(SafetensorsReader(folder), device, torch.float32))
    cache = allocate_kv_cache(config, 3, 4, device, torch.float32)
    state = open_decode_state(4, config.n_text_ctx, device)
    tables = build_filter_tables(config, TokenKinds(SMALL_EN.end, SMALL_EN.timestamps), device)
    graphs = StepGraphs(decoder, cache, state, tables)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        graphs.step(3)
        with pytest.raises(RuntimeError):
            bool(state.is_active.any())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "int16"])
def test_weights_of_ctranslate2_are_loaded_in_every_type(folders: dict[str, Path], tmp_path: Path, dtype: str) -> None:
    checkpoint = open_checkpoint(write_ctranslate2(folders["english"], tmp_path, dtype))
    name, dims = "decoder.layers.0.encoder_attn.v_proj.weight", (SMALL_EN.n_state, SMALL_EN.n_state)
    loaded = Loader(checkpoint.tensors, torch.device(DEVICE), torch.float32).tensor(name, *dims)
    assert torch.equal(loaded.cpu(), torch.from_numpy(checkpoint.tensors.numbers(name, dims)))
