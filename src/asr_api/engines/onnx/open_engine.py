"""Opens the ONNX engine: reads the checkpoint, builds graphs, sessions and KV caches, and assembles an `OnnxEngine`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.cpu import processor_name, usable_cores
from asr_api.engines.onnx.batch import Batch
from asr_api.engines.onnx.compute_types import choose_compute_type, notes, open_builder, open_encoder
from asr_api.engines.onnx.decoder_graph import decoder_graph
from asr_api.engines.onnx.engine import OnnxEngine
from asr_api.engines.onnx.kv_cache import CrossKvCache
from asr_api.engines.onnx.session import Session
from asr_api.engines.protocol import EngineInfo, EngineOptions
from asr_api.engines.whisper.capabilities import with_capabilities
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from asr_api.engines.whisper.decoding import TokenStepper
from asr_api.engines.whisper.fallback import BEST_OF
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.transcript_builder import TranscriptBuilder
from asr_api.errors import CheckpointError

HEAD_STEP = 8  # ONNX Runtime's attention takes heads whose size is a multiple of it


def open_onnx_engine(
    options: EngineOptions, new_transcript_builder: Callable[[Tokenizer], TranscriptBuilder] = TranscriptBuilder
) -> OnnxEngine:
    """new_transcript_builder: another one may also record how a window was decoded

    Raises CheckpointError for an unreadable checkpoint, and SettingsError for a compute type that this machine lacks.
    """
    checkpoint = open_checkpoint(options.checkpoint, options.weight_files)
    config = read_whisper_config(checkpoint)
    _check_heads(config)
    tokenizer = Tokenizer(checkpoint.tokenizer, config.n_vocab)
    prompts = PromptBuilder(config, tokenizer)
    weights = checkpoint.tensors
    num_threads = options.num_threads or usable_cores()
    compute_type = choose_compute_type(options.compute_type)
    with ThreadPoolExecutor(1) as pool:  # most of the time is spent in numpy and ONNX Runtime, without the GIL
        opening = pool.submit(open_encoder, config, weights, compute_type, num_threads)
        decoder = Session(decoder_graph(config, open_builder(weights, compute_type)), num_threads)
        encoder = opening.result()
    weights.forget()
    stepper = TokenStepper(config, tokenizer, max_new_tokens=options.max_new_tokens, beam_size=options.beam_size)
    # One more row than windows, so that there is always a free row between the two batches.
    cross = CrossKvCache(config, options.n_slots + 1, is_int8=compute_type != "float32")
    info = EngineInfo(
        model_id=options.model_id,
        engine="onnx",
        device_name=processor_name(),
        window_s=config.window_s,
        n_slots=options.n_slots,
        compute_type=compute_type,
        notes=notes(options),
    )
    return OnnxEngine(
        with_capabilities(info, config, tokenizer),
        encoder,
        Batch(decoder, stepper, cross, config, options.beam_size, is_at_back=False),
        Batch(decoder, stepper, cross, config, BEST_OF, is_at_back=True),
        prompts,
        new_transcript_builder(tokenizer),
    )


def _check_heads(config: WhisperConfig) -> None:
    d_head = config.n_state // config.n_text_head
    if d_head % HEAD_STEP:
        raise CheckpointError(
            f"The checkpoint's decoder has heads of {d_head} values, and this engine needs a multiple of {HEAD_STEP}; "
            "Whisper's have 64: fetch the checkpoint again, or choose another one as MODEL_ID."
        )
