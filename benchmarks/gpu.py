"""Correctness checks and speed of the CUDA engine on a GPU; needs no network.

    PYTHONPATH=src:. python benchmarks/gpu.py --stages checks,kernels,engine,reference --shapes large-v3,turbo

Checkpoints have random weights and real shapes. The number of tokens of a window is forced (mean 110, deviation 35, at
most 224), by logits that determine the next token. The last line is JSON. On a CPU: --shapes small.
"""

# ruff: noqa: B023, SLF001, T201 – a script: lambdas run immediately, private helpers of tests are used, it prints

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.checkpoints.safetensors import SafetensorsReader
from asr_api.engines.cuda import reference_ops, step_graphs
from asr_api.engines.cuda.decode_state import DecodeState, RowInit, open_decode_state
from asr_api.engines.cuda.engine import CudaEngine
from asr_api.engines.cuda.filter_tables import FilterTables
from asr_api.engines.cuda.kernels.cross_attention import cross_attention
from asr_api.engines.cuda.kernels.layer_norm import add_layer_norm
from asr_api.engines.cuda.kernels.sample import sample
from asr_api.engines.cuda.kernels.self_attention import self_attention
from asr_api.engines.cuda.layers import Loader
from asr_api.engines.cuda.model import AudioEncoder
from asr_api.engines.cuda.open_engine import open_cuda_engine
from asr_api.engines.protocol import EngineOptions, WindowJob
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.options import DecodeOptions
from tests.engines import whisper_checkpoints as checkpoints
from tests.engines.whisper_checkpoints import SMALL, Shape

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DTYPE = torch.float16 if DEVICE.type == "cuda" else torch.float32
LARGE = Shape(
    n_mels=128, n_state=1280, n_head=20, n_audio_layer=32, n_text_layer=32, n_audio_ctx=1500, n_text_ctx=448,
    n_text_tokens=50257, num_languages=100, dtype="float16",
)  # fmt: skip
SHAPES = {
    "large-v3": LARGE,
    "turbo": Shape(**{**asdict(LARGE), "n_text_layer": 4}),
    "distil-large-v2": Shape(**{**asdict(LARGE), "n_text_layer": 2, "n_mels": 80, "num_languages": 99}),
    "small": SMALL,
}
FILE_S, CLIP_S, ADVANCE_S, PIPELINE_ADVANCE_S = 19 * 60 + 51, 10.0, 28.5, 20.0
PEAK_FLOPS, PEAK_BYTES_S = 790e12, 4.3e12  # measured on an H200: bf16 matrix product, copy
Report = dict[str, float]
TOTALS = [0, 0]  # tokens and windows so far


def seconds(work: Callable[[], object], repeats: int = 10) -> float:
    """Median time of a call."""
    if DEVICE.type == "cpu":
        repeats = 2
    times = []
    for _ in range(repeats + 2):
        synchronize()
        start = time.perf_counter()
        work()
        synchronize()
        times.append(time.perf_counter() - start)
    return float(np.median(times[2:]))


def synchronize() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def text_lengths(num: int, limit: int) -> np.ndarray:
    """Numbers of tokens."""
    return np.clip(np.random.default_rng(6).normal(110, 35, num).round(), 1, min(224, limit)).astype(np.int64)


def random(*dims: int) -> Tensor:
    return torch.randn(*dims, device=DEVICE).to(DTYPE)


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.float() - theirs.float()).norm() / theirs.float().norm())


def check(shape: Shape, report: Report) -> None:
    """Each kernel against its reference op in float32, at real shapes, with many rows, some of them inactive."""
    n_rows, n_slots, n_head, d_head = 24, 16, shape.n_head, shape.n_state // shape.n_head
    slots = (torch.arange(n_rows, device=DEVICE) % n_slots).int()
    is_active = torch.arange(n_rows, device=DEVICE) % 5 != 3
    keys, values = (random(n_slots, n_head, shape.n_audio_ctx, d_head) for _ in range(2))
    for n_q in (1, 4, 16):
        query = random(n_rows, n_q, n_head, d_head).transpose(1, 2)
        expected = reference_ops.cross_attention(query.float(), keys.float(), values.float(), slots, is_active)
        report[f"error cross n_q={n_q}"] = relative_error(
            cross_attention(query, keys, values, slots, is_active), expected
        )
    single = random(n_slots, 1, n_head, d_head).transpose(1, 2)
    ours = cross_attention(single, keys, values, slots[:n_slots], is_active[:n_slots], is_shared=False)
    expected = reference_ops.cross_attention(
        single.float(), keys.float(), values.float(), slots[:n_slots], is_active[:n_slots]
    )
    report["error cross alone"] = relative_error(ours, expected)
    query, key, value = random(n_rows, 3, n_head, d_head).unbind(1)
    cached = tuple(random(n_rows, n_head, shape.n_text_ctx, d_head) for _ in range(2))
    positions = (torch.arange(n_rows, device=DEVICE) * 13 % shape.n_text_ctx).int()
    full = (cached[0].float(), cached[1].float())
    expected = reference_ops.self_attention(query.float(), key.float(), value.float(), full, positions, is_active)[
        is_active
    ]
    ours = self_attention(query, key, value, (cached[0], cached[1]), positions, is_active)[is_active]
    report["error self"] = relative_error(ours, expected)
    x, residual, weight, bias = (random(*dims) for dims in ((n_rows, shape.n_state),) * 2 + ((shape.n_state,),) * 2)
    total, normed = add_layer_norm(x, residual, weight, bias)
    expected = reference_ops.add_layer_norm(
        total.float(), torch.zeros_like(total).float(), weight.float(), bias.float()
    )[1]
    report["error norm"] = relative_error(normed, expected)
    report["sample differs"] = check_sample(shape)


def check_sample(shape: Shape) -> float:
    """Number of tokens that differ from the reference op's in 30 steps of 24 rows, half of them sampled."""
    begin = shape.special("notimestamps") + 1
    nothing = torch.zeros(shape.n_vocab, dtype=torch.bool, device=DEVICE)
    tables = FilterTables(nothing, nothing, shape.end, begin, begin + 50)
    rng = np.random.default_rng(6)
    states = [open_decode_state(24, shape.n_text_ctx, DEVICE) for _ in range(2)]
    inits = [RowInit(row, row, 5, 3, row % 3 > 0, row % 2 * 0.8, rng.random(shape.n_text_ctx)) for row in range(24)]
    for state, sampler in zip(states, (sample, reference_ops.sample), strict=True):
        torch.manual_seed(6)
        state.start_rows(inits, begin)
        for _ in range(30):
            sampler(random(24, shape.n_vocab) * 2, state, tables)
    return float((states[0].out_tokens != states[1].out_tokens).sum())


def attend_in_layers(
    query: Tensor, keys: Tensor, values: Tensor, slots: Tensor, is_active: Tensor, *, is_shared: bool
) -> None:
    """keys, values: of all layers, (n_layers, n_slots, n_head, n_audio_ctx, d_head)"""
    for layer in range(len(keys)):
        cross_attention(query, keys[layer], values[layer], slots, is_active, is_shared=is_shared)


def measure_kernels(shape: Shape, report: Report) -> None:
    """Bytes per second of cross-attention, layer by layer as in a decode step, so that they are in no cache."""
    n_head, d_head = shape.n_head, shape.n_state // shape.n_head
    for n_rows in (1, 8, 64):
        n_layers = max(2, min(shape.n_text_layer, 8))
        keys, values = (random(n_layers, n_rows, n_head, shape.n_audio_ctx, d_head) for _ in range(2))
        slots, query = torch.arange(n_rows, device=DEVICE).int(), random(n_rows, n_head, 1, d_head)
        for active, is_shared in ((1.0, False), (0.5, False), (1.0, True)):
            is_active = torch.arange(n_rows, device=DEVICE) < max(1, n_rows * active)

            step = partial(attend_in_layers, query, keys, values, slots, is_active, is_shared=is_shared)
            num_bytes = 2 * n_layers * int(is_active.sum()) * keys[0, 0].numel() * keys.element_size()
            name = f"GB/s rows={n_rows} active={active} {'tiles' if is_shared else 'alone'}"
            report[name] = num_bytes / seconds(captured(step)) / 1e9


def captured(step: Callable[[], object]) -> Callable[[], object]:
    """The step as a CUDA graph; unchanged on a CPU."""
    if DEVICE.type == "cpu":
        return step
    step()
    synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def write_checkpoint(folder: Path, shape: Shape) -> Path:
    """Random weights from transformers on the device; tokenizer and configuration as the tests write them."""
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    with tempfile.TemporaryDirectory() as small:  # the same vocabulary, but few weights
        checkpoints.write_checkpoint(Path(small), Shape(**{**asdict(shape), "n_state": 8, "n_head": 1,
            "n_audio_layer": 1, "n_text_layer": 1, "dtype": "float32"}))  # fmt: skip
        tokenizer = {path.name: path.read_bytes() for path in Path(small).iterdir() if "safetensors" not in path.name}
    config = WhisperConfig(**checkpoints._config(shape))
    with torch.device(DEVICE):
        model = WhisperForConditionalGeneration(config).to(DTYPE)
    model.generation_config = GenerationConfig()
    model.save_pretrained(folder, max_shard_size="10GB")
    for name, content in tokenizer.items():
        if name not in {"config.json", "generation_config.json"}:
            (folder / name).write_bytes(content)
    (folder / "config.json").write_text(json.dumps(checkpoints._config(shape) | {"tie_word_embeddings": True}))
    (folder / "generation_config.json").write_text(json.dumps(checkpoints._generation_config(shape)))
    return folder


def force_lengths(n_rows: int, shape: Shape) -> None:
    """Each row gets random text of a random length: no loops, no early end. CUDA graphs capture this, too."""
    rng = np.random.default_rng(7)
    limits = torch.from_numpy(text_lengths(n_rows, shape.n_text_ctx - 8)).to(DEVICE)
    text = torch.from_numpy(rng.integers(0, shape.end, (n_rows, shape.n_text_ctx))).to(DEVICE)

    def sample_forced(logits: Tensor, state: DecodeState, tables: FilterTables) -> None:
        num = state.num_sampled.long()[:, None]
        token = text[: len(logits)].gather(1, num.clamp_max(text.shape[1] - 1))
        token = torch.where(num >= limits[: len(logits), None], tables.end, token)
        logits.scatter_(1, token, 3e4)
        sample(logits, state, tables)

    step_graphs.sample = sample_forced  # type: ignore[attr-defined]


def measure_engine(folder: Path, shape: Shape, report: Report) -> None:
    config = read_whisper_config(open_checkpoint(folder))
    slots = 64 if DEVICE.type == "cuda" else 4
    force_lengths(4 * slots, shape)
    options = EngineOptions(
        model_id=folder.name, checkpoint=folder, n_slots=slots, max_new_tokens=224, flash_attention_2=False,
        num_threads=1, beam_size=1,
    )  # fmt: skip
    start = time.perf_counter()
    engine = open_cuda_engine(options, device=DEVICE.type, dtype=DTYPE)
    engine.warm_up()
    report["start s"] = time.perf_counter() - start
    num_windows = int(-(-FILE_S // ADVANCE_S)) if DEVICE.type == "cuda" else 1
    window = np.random.default_rng(6).integers(-3000, 3000, int(config.window_s * 16000)).astype(np.int16)
    clip = window[: int(min(CLIP_S, config.window_s) * 16000)]
    transcribe(engine, [window] * num_windows)
    for name, pcms, audio_s in (
        ("clip 10 s", [clip], CLIP_S),
        ("one file", [window] * num_windows, FILE_S),
        ("16 files", [window] * (16 * num_windows if DEVICE.type == "cuda" else 2), 16 * FILE_S),
    ):
        taken = float(np.median([transcribe(engine, pcms) for _ in range(3 if DEVICE.type == "cuda" else 1)]))
        transcribed_s = audio_s if DEVICE.type == "cuda" else len(pcms) * config.window_s  # a CPU gets fewer windows
        report[f"{name} s"], report[f"{name} RTFx"] = taken, transcribed_s / taken
    report["tokens a window"] = TOTALS[0] / TOTALS[1]
    if DEVICE.type == "cuda":
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            transcribe(engine, [window] * num_windows)
        print(profile.key_averages().table(sort_by="cuda_time_total", row_limit=18, max_name_column_width=60))
    engine.close()
    measure_encoder(folder, shape, report)


def transcribe(engine: CudaEngine, pcms: list[np.ndarray]) -> float:
    synchronize()
    start, num_done, options = time.perf_counter(), 0, DecodeOptions(language="en", temperatures=(0.0,))
    jobs = [WindowJob(index, pcm, options) for index, pcm in enumerate(pcms)]
    while num_done < len(pcms):
        admitted, jobs = jobs[: engine.free_slots], jobs[engine.free_slots :]
        engine.admit(admitted)
        for finished in engine.step():
            num_done += 1
            TOTALS[:] = TOTALS[0] + finished.transcript.num_tokens, TOTALS[1] + 1
    return time.perf_counter() - start


def measure_encoder(folder: Path, shape: Shape, report: Report) -> None:
    with torch.inference_mode():
        encoder = AudioEncoder(
            read_whisper_config(open_checkpoint(folder)), Loader(SafetensorsReader(folder), DEVICE, DTYPE)
        )
        batch, n_ctx, n_state = 11 if DEVICE.type == "cuda" else 1, shape.n_audio_ctx, shape.n_state
        log_mel = random(batch, shape.n_mels, 2 * n_ctx)
        flops = batch * shape.n_audio_layer * (24 * n_state**2 * n_ctx + 4 * n_ctx**2 * n_state)
        for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):  # the engine prefers the first
            with sdpa_kernel([backend, SDPBackend.MATH], set_priority=True):
                report[f"encoder TFLOP/s {backend.name}"] = flops / seconds(lambda: encoder(log_mel)) / 1e12


def measure_reference(folder: Path, shape: Shape, report: Report) -> None:
    """transformers as in its pipeline: windows advance by 20 s; a batch of 16 runs until the longest text ends."""
    from transformers import WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=DTYPE, attn_implementation="sdpa").to(DEVICE)
    num, batch = (int(-(-FILE_S // PIPELINE_ADVANCE_S)), 16) if DEVICE.type == "cuda" else (2, 2)
    num_tokens = text_lengths(num, shape.n_text_ctx - 8)
    features = random(batch, shape.n_mels, 2 * shape.n_audio_ctx)
    synchronize()
    start = time.perf_counter()
    with torch.inference_mode():
        for first in range(0, num, batch):
            longest = int(num_tokens[first : first + batch].max())
            inputs = features[: len(num_tokens[first : first + batch])]
            model.generate(inputs, language="en", num_beams=1, min_new_tokens=longest, max_new_tokens=longest)
    synchronize()
    report["transformers one file s"] = time.perf_counter() - start
    audio_s = FILE_S if DEVICE.type == "cuda" else num * shape.n_audio_ctx * 0.02
    report["transformers one file RTFx"] = audio_s / report["transformers one file s"]


def roofline(shape: Shape, report: Report) -> None:
    """Time of one file at peak rates with 64 rows: encoder, cross projection, weights per step, KV cache per token."""
    n_ctx, n_state, element = shape.n_audio_ctx, shape.n_state, 2
    flops = shape.n_audio_layer * (24 * n_state**2 * n_ctx + 4 * n_ctx**2 * n_state)
    flops += shape.n_text_layer * 4 * n_state**2 * n_ctx
    weight_bytes = (14 * n_state**2 * shape.n_text_layer + shape.n_vocab * n_state) * element / 64
    cross_bytes = 2 * shape.n_text_layer * n_ctx * n_state * element
    window_s = flops / PEAK_FLOPS + 110 * (weight_bytes + cross_bytes) / PEAK_BYTES_S
    report["roofline RTFx"] = shape.n_audio_ctx * 0.02 / window_s


def main() -> None:
    torch.set_num_threads(1)  # thread barriers are slow beside other programs
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", default="checks,kernels,engine,reference")
    parser.add_argument("--shapes", default="large-v3,turbo,distil-large-v2")
    arguments = parser.parse_args()
    stages, results = set(arguments.stages.split(",")), dict[str, Report]()
    for name in arguments.shapes.split(","):
        shape, report = SHAPES[name], Report()
        results[name] = report
        roofline(shape, report)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            if stages & {"engine", "reference"}:
                write_checkpoint(path, shape)
            for stage, work in (
                ("checks", lambda: check(shape, report)),
                ("kernels", lambda: measure_kernels(shape, report)),
                ("engine", lambda: measure_engine(path, shape, report)),
                ("reference", lambda: measure_reference(path, shape, report)),
            ):
                if stage not in stages:
                    continue
                with torch.inference_mode():
                    work()
                print(f"{name}: {stage} done", flush=True)
        for key, value in report.items():
            print(f"{name:16} {key:36} {value:12.5g}", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
