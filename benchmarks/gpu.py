"""Speed of the CUDA engine on a GPU; needs no network. The kernels' correctness is checked by their tests.

    PYTHONPATH=src:. python benchmarks/gpu.py --stages kernels,encoder,engine,reference --shapes large-v3,turbo

Checkpoints have random weights and real shapes. The number of tokens of a window is forced (mean 110, deviation 35, at
most 224), by logits that determine the next token. The last line is JSON. On a CPU: --shapes small.
"""

# ruff: noqa: B023, T201 – a script: functions in loops run immediately, it prints

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.cuda import step_graphs
from asr_api.engines.cuda.decode_state import DecodeState
from asr_api.engines.cuda.engine import CudaEngine
from asr_api.engines.cuda.filter_tables import FilterTables
from asr_api.engines.cuda.kernels.cross_attention import cross_attention
from asr_api.engines.cuda.kernels.sample import sample
from asr_api.engines.cuda.layers import Loader
from asr_api.engines.cuda.model import AudioEncoder
from asr_api.engines.cuda.open_engine import open_cuda_engine
from asr_api.engines.protocol import EngineOptions, WindowJob
from asr_api.engines.whisper.config import read_whisper_config
from asr_api.options import DecodeOptions
from tests.engines import whisper_checkpoints
from tests.engines.whisper_checkpoints import SMALL, Shape

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DTYPE = torch.float16 if DEVICE.type == "cuda" else torch.float32
LARGE = Shape(
    n_mels=128, n_state=1280, n_head=20, n_audio_layer=32, n_text_layer=32, n_audio_ctx=1500, n_text_ctx=448,
    n_text_tokens=50257, num_languages=100, dtype="float16",
)  # fmt: skip
SHAPES = {
    "large-v3": LARGE,
    "turbo": replace(LARGE, n_text_layer=4),
    "distil-large-v2": replace(LARGE, n_text_layer=2, n_mels=80, num_languages=99),
    "small": SMALL,
}
PEAK_FLOPS, PEAK_BYTES_S = 790e12, 4.3e12  # measured on an H200: bf16 matrix product, copy
FILE_S, CLIP_S, ADVANCE_S, PIPELINE_ADVANCE_S = 19 * 60 + 51, 10.0, 28.5, 20.0
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


def measure_kernels(shape: Shape, report: Report) -> None:
    """Bytes per second of cross-attention, layer by layer as in a decode step, so that they are in no cache."""
    n_head, d_head = shape.n_head, shape.n_state // shape.n_head
    n_layers = max(2, min(shape.n_text_layer, 8))
    for n_rows in (1, 8, 64):
        keys, values = (random(n_layers, n_rows, n_head, shape.n_audio_ctx, d_head) for _ in range(2))
        slots, query = torch.arange(n_rows, device=DEVICE).int(), random(n_rows, n_head, d_head)
        for active in (1.0, 0.5):
            is_active = torch.arange(n_rows, device=DEVICE) < max(1, n_rows * active)

            def attend() -> None:
                for layer_keys, layer_values in zip(keys, values, strict=True):
                    cross_attention(query, layer_keys, layer_values, slots, is_active)

            num_bytes = 2 * n_layers * int(is_active.sum()) * keys[0, 0].numel() * keys.element_size()
            report[f"GB/s rows={n_rows} active={active}"] = num_bytes / seconds(captured(attend)) / 1e9


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
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    few_weights = replace(shape, n_state=8, n_head=1, n_audio_layer=1, n_text_layer=1, dtype="float32")
    with tempfile.TemporaryDirectory() as name:
        small = whisper_checkpoints.write_checkpoint(Path(name), few_weights)
        files = {path.name: path.read_bytes() for path in small.iterdir() if "safetensors" not in path.name}
    dimensions = {"d_model": shape.n_state, "encoder_layers": shape.n_audio_layer, "decoder_layers": shape.n_text_layer}
    for side in ("encoder", "decoder"):
        dimensions |= {f"{side}_attention_heads": shape.n_head, f"{side}_ffn_dim": 4 * shape.n_state}
    config = json.loads(files["config.json"]) | dimensions
    with torch.device(DEVICE):
        model = WhisperForConditionalGeneration(WhisperConfig(**config)).to(DTYPE)
    model.save_pretrained(folder, max_shard_size="10GB")
    for name, content in (files | {"config.json": json.dumps(config).encode()}).items():
        (folder / name).write_bytes(content)
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
    options = EngineOptions("random", folder, n_slots=slots, max_new_tokens=224, flash_attention_2=False, num_threads=1)
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


def encoder_flops(shape: Shape) -> float:
    """Of one window."""
    n_ctx, n_state = shape.n_audio_ctx, shape.n_state
    return shape.n_audio_layer * (24.0 * n_state**2 * n_ctx + 4.0 * n_ctx**2 * n_state)


def measure_encoder(folder: Path, shape: Shape, report: Report) -> None:
    checkpoint = open_checkpoint(folder)
    encoder = AudioEncoder(read_whisper_config(checkpoint), Loader(checkpoint.tensors, DEVICE, DTYPE))
    batch = 11 if DEVICE.type == "cuda" else 1
    log_mel = random(batch, shape.n_mels, 2 * shape.n_audio_ctx)
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):  # the engine prefers the first
        with sdpa_kernel([backend, SDPBackend.MATH], set_priority=True):
            taken_s = seconds(lambda: encoder(log_mel))
        report[f"encoder TFLOP/s {backend.name}"] = batch * encoder_flops(shape) / taken_s / 1e12


def estimate_roofline(shape: Shape, report: Report) -> None:
    """Time of one file at peak rates with 64 rows: encoder, cross projection, weights per step, KV cache per token."""
    n_ctx, n_state, element = shape.n_audio_ctx, shape.n_state, 2
    flops = encoder_flops(shape) + shape.n_text_layer * 4 * n_state**2 * n_ctx
    weight_bytes = (14 * n_state**2 * shape.n_text_layer + shape.n_vocab * n_state) * element / 64
    cross_bytes = 2 * shape.n_text_layer * n_ctx * n_state * element
    window_s = flops / PEAK_FLOPS + 110 * (weight_bytes + cross_bytes) / PEAK_BYTES_S
    report["roofline RTFx"] = shape.n_audio_ctx * 0.02 / window_s


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


def measure_reference(folder: Path, shape: Shape, report: Report) -> None:
    """transformers as in its pipeline: windows advance by 20 s; a batch of 16 runs until the longest text ends."""
    from transformers import WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=DTYPE, attn_implementation="sdpa").to(DEVICE)
    num, batch = (int(-(-FILE_S // PIPELINE_ADVANCE_S)), 16) if DEVICE.type == "cuda" else (2, 2)
    num_tokens = text_lengths(num, shape.n_text_ctx - 8)
    features = random(batch, shape.n_mels, 2 * shape.n_audio_ctx)
    synchronize()
    start = time.perf_counter()
    for first in range(0, num, batch):
        lengths = num_tokens[first : first + batch]
        longest, inputs = int(lengths.max()), features[: len(lengths)]
        model.generate(inputs, language="en", num_beams=1, min_new_tokens=longest, max_new_tokens=longest)
    synchronize()
    report["transformers one file s"] = time.perf_counter() - start
    audio_s = FILE_S if DEVICE.type == "cuda" else num * shape.n_audio_ctx * 0.02
    report["transformers one file RTFx"] = audio_s / report["transformers one file s"]


def main() -> None:
    torch.set_num_threads(1)  # thread barriers are slow beside other programs
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", default="kernels,encoder,engine,reference")
    parser.add_argument("--shapes", default="large-v3,turbo,distil-large-v2")
    arguments = parser.parse_args()
    stages, results = set(arguments.stages.split(",")), dict[str, Report]()
    for name in arguments.shapes.split(","):
        shape, report = SHAPES[name], Report()
        results[name] = report
        estimate_roofline(shape, report)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            if stages & {"encoder", "engine", "reference"}:
                write_checkpoint(path, shape)
            for stage, work in (
                ("kernels", lambda: measure_kernels(shape, report)),
                ("encoder", lambda: measure_encoder(path, shape, report)),
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
