"""From a checkpoint and the machine to an engine. Heavy libraries are imported only when their engine is chosen."""

from __future__ import annotations

from asr_api.engines.protocol import Engine, EngineOptions


def open_engine(options: EngineOptions) -> Engine:
    """The fastest engine that this machine can run for the checkpoint; runs in the engine process.

    Raises CheckpointError when no engine can read the checkpoint.
    """
    from asr_api.engines.onnx.engine import OnnxEngine

    return OnnxEngine(options)
