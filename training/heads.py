"""Which cross-attention heads show where a word is said: measured on validation windows with known word times.

In go a model and windows; out come [layer, head] pairs for generation_config's alignment_heads.
"""

from __future__ import annotations

import random

import torch
from torch.nn.functional import embedding

from training.batches import target_of
from training.logmel import LogMel
from training.model import Whisper
from training.tokenizer import TIMESTAMP_STEP_MS, Vocabulary
from training.windows import WindowMaker, WindowPlan

NUM_WINDOWS = 12
GOOD_SHARE = 0.5
"""A head counts when at least this share of its attention lies inside the words."""
PLAN = WindowPlan(30_000, no_speech_share=0.0, digits_share=0.0, cut_share=0.0)


@torch.inference_mode()
def head_shares(model: Whisper, vocabulary: Vocabulary, windows: WindowMaker) -> torch.Tensor:
    """Mean attention inside the span of the word about to be said, (n_decoder_layers, n_head)."""
    rng, log_mel = random.Random(1), LogMel(torch.device("cpu"))
    shares = []
    for _ in range(NUM_WINDOWS):
        window = windows.window(rng, PLAN)
        target = target_of(window, vocabulary, rng)
        audio = model.model.encoder(log_mel(torch.from_numpy(window.pcm)[None]))
        x = embedding(torch.tensor([target.tokens]), model.embeddings())
        weights = _all_weights(model, x, audio)  # (n_decoder_layers, n_head, n_ctx, n_source)
        for row, (label, span) in enumerate(zip(target.labels, target.spans_ms, strict=True)):
            if span is not None and label < vocabulary.end:
                first, last = int(span[0] // TIMESTAMP_STEP_MS), int(span[1] // TIMESTAMP_STEP_MS) + 1
                shares.append(weights[:, :, row, max(0, first - 1) : last + 1].sum(-1))
    return torch.stack(shares).mean(0)


def _all_weights(model: Whisper, embedded: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
    """Cross-attention of every layer and head for one window."""
    decoder = model.model.decoder
    x = embedded + decoder.embed_positions.weight[: embedded.shape[1]]
    found = []
    for layer in decoder.blocks:
        normed = layer.self_attn_layer_norm(x)
        x = x + layer.self_attn(normed, *layer.self_attn.keys_values(normed), causal=True)
        keys, values = layer.encoder_attn.keys_values(audio)
        normed = layer.encoder_attn_layer_norm(x)
        found.append(layer.encoder_attn.weights(normed, keys, model.size.n_head)[0])
        x = layer.feed_forward(x + layer.encoder_attn(normed, keys, values))
    return torch.stack(found)


def alignment_heads(model: Whisper, vocabulary: Vocabulary, windows: WindowMaker) -> list[list[int]]:
    """The heads above GOOD_SHARE, or the best one."""
    shares = head_shares(model, vocabulary, windows)
    best = (shares >= min(GOOD_SHARE, float(shares.max()))).nonzero().tolist()
    return [[int(layer), int(head)] for layer, head in best]
