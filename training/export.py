"""Command: checkpoint → a Hugging Face Whisper folder that transformers and every Whisper engine load unchanged.

    python -m training.export --work build/training --to src/asr_api/models/tiny-en

Weights are the averaged ones in float16, those of several checkpoints of a run again averaged: together they are better
than each alone. Alignment heads are the cross-attention heads that look where words are said.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from training.checkpoint import averaged_model, last_checkpoints
from training.clips import ClipStore
from training.heads import alignment_heads
from training.model import Whisper
from training.tokenizer import MAX_LENGTH, Vocabulary
from training.train import CHECKPOINT
from training.windows import WindowMaker

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
)
FEATURES = {
    "chunk_length": 30,
    "dither": 0.0,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 80,
    "hop_length": 160,
    "n_fft": 400,
    "n_samples": 480_000,
    "nb_max_frames": 3000,
    "padding_side": "right",
    "padding_value": 0.0,
    "processor_class": "WhisperProcessor",
    "return_attention_mask": False,
    "sampling_rate": 16_000,
}


def tensors(model: Whisper) -> dict[str, Tensor]:
    """Float16 weights under transformers' names; the timestamp embeddings written out as rows."""
    state = {name: value for name, value in model.state_dict().items() if name.startswith("model.")}
    state["model.decoder.embed_tokens.weight"] = model.embeddings()
    return {name: value.detach().to(torch.float16).contiguous() for name, value in state.items()}


def config(model: Whisper, vocabulary: Vocabulary) -> dict[str, object]:
    """config.json of a WhisperForConditionalGeneration."""
    size = model.size
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "torch_dtype": "float16",
        "activation_function": "gelu",
        "d_model": size.n_state,
        "vocab_size": size.n_vocab,
        "num_mel_bins": size.n_mels,
        "max_source_positions": size.n_audio_ctx,
        "max_target_positions": size.n_text_ctx,
        "encoder_layers": size.n_encoder_layers,
        "decoder_layers": size.n_decoder_layers,
        "num_hidden_layers": size.n_encoder_layers,
        "encoder_attention_heads": size.n_head,
        "decoder_attention_heads": size.n_head,
        "encoder_ffn_dim": 4 * size.n_state,
        "decoder_ffn_dim": 4 * size.n_state,
        "scale_embedding": False,
        "tie_word_embeddings": True,
        "is_encoder_decoder": True,
        "use_cache": True,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "encoder_layerdrop": 0.0,
        "decoder_layerdrop": 0.0,
        "init_std": 0.02,
        "decoder_start_token_id": vocabulary.start,
        "bos_token_id": vocabulary.end,
        "eos_token_id": vocabulary.end,
        "pad_token_id": vocabulary.end,
        "begin_suppress_tokens": [vocabulary.space, vocabulary.end],
        "median_filter_width": 7,
    }


def generation_config(vocabulary: Vocabulary, heads: list[list[int]]) -> dict[str, object]:
    """generation_config.json of an English-only checkpoint."""
    never = [number for token, number in vocabulary.specials.items() if number != vocabulary.end]
    return {
        "alignment_heads": heads,
        "begin_suppress_tokens": [vocabulary.space, vocabulary.end],
        "bos_token_id": vocabulary.end,
        "decoder_start_token_id": vocabulary.start,
        "eos_token_id": vocabulary.end,
        "forced_decoder_ids": None,
        "is_multilingual": False,
        "max_initial_timestamp_index": 1500,  # it learns where speech begins, however late
        "max_length": MAX_LENGTH,
        "no_timestamps_token_id": vocabulary.no_timestamps,
        "pad_token_id": vocabulary.end,
        "prev_sot_token_id": vocabulary.start_of_previous,
        "return_timestamps": False,
        "suppress_tokens": sorted(set(never) - {vocabulary.no_timestamps}),
    }


def write_json(path: Path, content: dict[str, object]) -> None:
    """Pretty JSON with a newline at the end."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/training"))
    parser.add_argument("--checkpoints", type=Path, nargs="+", help=f"default: {CHECKPOINT} in --work")
    parser.add_argument(
        "--last", type=int, default=0, metavar="N", help="the last N that training kept, if it kept any"
    )
    parser.add_argument("--to", type=Path, help="default: export in --work")
    args = parser.parse_args()
    folder = args.to or args.work / "export"
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(args.work / "tokenizer" / name, folder / name)
    vocabulary = Vocabulary(folder)
    model, steps, minutes = averaged_model(args.checkpoints or last_checkpoints(args.work, args.last))
    windows = WindowMaker(ClipStore(args.work / "clips"), "valid", ("espeak",))
    heads = alignment_heads(model, vocabulary, windows)
    write_json(folder / "config.json", config(model, vocabulary))
    write_json(folder / "generation_config.json", generation_config(vocabulary, heads))
    write_json(folder / "preprocessor_config.json", FEATURES)
    save_file(tensors(model), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    print(f"{folder}: after {steps} steps, {minutes:.0f} minutes; alignment heads {heads}")


if __name__ == "__main__":
    main()
