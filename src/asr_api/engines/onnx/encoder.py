"""The encoder as a graph: log_mel (batch, n_mels, n_frames) → cross_keys.{layer}, cross_values.{layer}.

It ends in what every decoder layer attends to. Keys are kept transposed, (…, d_head, n_audio_ctx), so that a query
times the keys is a plain product.
"""

from __future__ import annotations

from asr_api.engines.onnx.builder import Builder, Graph, floats
from asr_api.engines.whisper.spec import WhisperSpec
from asr_api.engines.whisper.weights import Weights


def encoder_graph(spec: WhisperSpec, weights: Weights) -> Graph:
    """Log-mel to the keys and values that every decoder layer attends to."""
    build, n_state, n_ctx = Builder(weights), spec.n_state, spec.n_audio_ctx
    x = "log_mel"
    for index, n_in in ((1, spec.n_mels), (2, n_state)):
        name = f"encoder.conv{index}"
        weight, bias = build.weight(f"{name}.weight", n_state, n_in, 3), build.weight(f"{name}.bias", n_state)
        x = build.add("Conv", x, weight, bias, pads=[1, 1], strides=[index])
        x = build.add("Gelu", x)  # (batch, n_state, n_frames / index)
    x = build.add("Transpose", x, perm=[0, 2, 1])
    x = build.add("Add", x, build.weight("encoder.embed_positions.weight", n_ctx, n_state))
    x = build.reshape(x, -1, n_state)
    for layer in range(spec.n_audio_layer):
        name = f"encoder.layers.{layer}"
        x = _encoder_attention(build, spec, x, name)
        x = build.mlp(x, name, n_state, spec.n_audio_hidden)
    x = build.norm(x, "encoder.layer_norm", n_state)  # the audio features
    n_head = spec.n_text_head
    d_head = n_state // n_head
    outputs = []
    for layer in range(spec.n_text_layer):
        name = f"decoder.layers.{layer}.encoder_attn"
        keys = build.linear(x, f"{name}.k_proj", n_state, n_state, has_bias=False)
        values = build.linear(x, f"{name}.v_proj", n_state, n_state)
        keys, values = (build.reshape(part, -1, n_ctx, n_head, d_head) for part in (keys, values))
        build.add("Transpose", keys, perm=[0, 2, 3, 1], result=f"cross_keys.{layer}")
        build.add("Transpose", values, perm=[0, 2, 1, 3], result=f"cross_values.{layer}")
        outputs += [
            floats(f"cross_keys.{layer}", "batch", n_head, d_head, n_ctx),
            floats(f"cross_values.{layer}", "batch", n_head, n_ctx, d_head),
        ]
    return build.graph("encoder", [floats("log_mel", "batch", spec.n_mels, spec.n_frames)], outputs)


def _encoder_attention(build: Builder, spec: WhisperSpec, x: str, name: str) -> str:
    """x plus what it attends to; ONNX Runtime's fused attention never holds the n_ctx by n_ctx scores."""
    n_state = spec.n_state
    hidden = build.norm(x, f"{name}.self_attn_layer_norm", n_state)
    name = f"{name}.self_attn"
    parts = [build.linear(hidden, f"{name}.{part}_proj", n_state, n_state, has_bias=part != "k") for part in "qkv"]
    parts = [build.reshape(part, -1, spec.n_audio_ctx, n_state) for part in parts]
    heard = build.add("MultiHeadAttention", *parts, num_heads=spec.n_audio_head, domain="com.microsoft")
    heard = build.reshape(heard, -1, n_state)
    return build.add("Add", x, build.linear(heard, f"{name}.out_proj", n_state, n_state))
