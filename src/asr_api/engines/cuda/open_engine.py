"""Opens a CUDA engine: chooses the device, loads a Whisper checkpoint, plans memory and connects the stages."""

from __future__ import annotations

from collections.abc import Callable

import torch

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.cpu import processor_name, usable_cores
from asr_api.engines.cuda.decode_state import open_decode_state
from asr_api.engines.cuda.device import Device, EngineStream, choose_device
from asr_api.engines.cuda.encoding import WindowEncoder
from asr_api.engines.cuda.engine import CudaEngine, Stages
from asr_api.engines.cuda.filter_tables import build_filter_tables
from asr_api.engines.cuda.generation import DecodingConfig, Generator
from asr_api.engines.cuda.kernels.triton_language import launch_error
from asr_api.engines.cuda.kv_cache import KVCache, allocate_kv_cache
from asr_api.engines.cuda.layers import Loader
from asr_api.engines.cuda.memory_plan import MemoryPlan, plan_memory
from asr_api.engines.cuda.model import AudioEncoder, CrossProjection, TextDecoder
from asr_api.engines.cuda.prefill import Prefill
from asr_api.engines.cuda.step_graphs import StepGraphs
from asr_api.engines.cuda.word_timestamps import WordTimestamps
from asr_api.engines.protocol import EngineInfo, EngineOptions
from asr_api.engines.whisper.capabilities import with_capabilities
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from asr_api.engines.whisper.decoding import Limits, TokenStepper
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.transcript_builder import TranscriptBuilder
from asr_api.errors import CheckpointError


def open_cuda_engine(
    options: EngineOptions,
    new_transcript_builder: Callable[[Tokenizer], TranscriptBuilder] = TranscriptBuilder,
    *,
    device: str = "",
    dtype: torch.dtype | None = None,
) -> CudaEngine:
    """Raises CheckpointError when the folder holds no Whisper checkpoint that can be read, or when it does not fit.

    device, dtype: by default the first GPU in float16, or a CPU in float32
    """
    checkpoint = open_checkpoint(options.checkpoint, options.weight_files)
    config = read_whisper_config(checkpoint)
    tokenizer = Tokenizer(checkpoint.tokenizer, config.n_vocab)
    prompt_builder = PromptBuilder(config, tokenizer)
    chosen = choose_device(
        wants_flash=options.flash_attention_2,
        d_head=config.n_state // config.n_audio_head,
        device=device,
        dtype=dtype,
        cpu_name=processor_name(),
    )
    torch.set_num_threads(options.num_threads or (1 if chosen.is_cuda else usable_cores()))
    stream = EngineStream(chosen)
    with stream.running():
        loader = Loader(checkpoint.tensors, chosen.torch_device, chosen.dtype)
        decoder = TextDecoder(config, loader)
        encoder, project = AudioEncoder(config, loader), CrossProjection(config, loader)
        chosen.synchronize()
        plan, cache = _allocate_cache(config, chosen, options)
        window_encoder = WindowEncoder(config, chosen, cache, encoder, project, plan.max_batch)
        generator = _open_generator(options, config, tokenizer, decoder, cache)
        chosen.synchronize()  # all weights are loaded before another stream uses them
    prefill = Prefill(decoder, cache, prompt_builder)
    stages = Stages(
        prompt_builder=prompt_builder,
        encoder=window_encoder,
        prefill=prefill,
        generator=generator,
        transcript_builder=new_transcript_builder(tokenizer),
        word_timestamps=WordTimestamps(prefill, prompt_builder, tokenizer),
    )
    info = EngineInfo(
        model_id=options.model_id,
        engine="cuda",
        device_name=chosen.name,
        window_s=config.window_s,
        n_slots=plan.n_slots,
        compute_type=str(chosen.dtype).removeprefix("torch."),
        notes=(*chosen.notes, *option_notes(options, chosen, plan.n_slots)),
    )
    return CudaEngine(with_capabilities(info, config, tokenizer), stages, stream)


def option_notes(options: EngineOptions, device: Device, n_slots: int) -> list[str]:
    """Notes on options that are not, or not fully, in effect, and on kernels that cannot be used."""
    notes = []
    if n_slots != options.n_slots:
        notes.append(f"The GPU's memory holds {n_slots} windows at once, not {options.n_slots}.")
    if options.compute_type != "auto":
        notes.append("COMPUTE_TYPE has no effect on a GPU: it is for CPUs.")
    if device.is_cuda and (reason := launch_error()):
        notes.append(f"Decoding is slower than it could be on this GPU: {reason}.")
    return notes


def _open_generator(
    options: EngineOptions, config: WhisperConfig, tokenizer: Tokenizer, decoder: TextDecoder, cache: KVCache
) -> Generator:
    state = open_decode_state(cache.n_rows, config.n_text_ctx, cache.device)
    tables = build_filter_tables(config, tokenizer.kinds, cache.device)
    step_graphs = StepGraphs(decoder, cache, state, tables)
    limits = Limits(tokenizer.kinds, config.n_text_ctx, options.max_new_tokens)
    stepper = TokenStepper(config, tokenizer, max_new_tokens=options.max_new_tokens, beam_size=options.beam_size)
    return Generator(decoder, cache, state, step_graphs, DecodingConfig(limits, options.beam_size, stepper))


def _allocate_cache(config: WhisperConfig, device: Device, options: EngineOptions) -> tuple[MemoryPlan, KVCache]:
    wanted_slots = options.n_slots
    while True:
        plan = plan_memory(config, device.dtype, wanted_slots, options.beam_size, device.free_bytes())
        if plan is None:
            raise CheckpointError(
                f"The GPU ({device.name}) has no memory left for a single window beside the model's weights; "
                "free some of it, or choose a smaller checkpoint as MODEL_ID."
            )
        try:
            return plan, allocate_kv_cache(config, plan.n_slots, plan.n_rows, device.torch_device, device.dtype)
        except torch.OutOfMemoryError:  # another program has allocated memory meanwhile
            torch.cuda.empty_cache()
            wanted_slots = plan.n_slots // 2
