"""From a checkpoint and the machine to an engine. Heavy libraries are imported only when their engine is chosen."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from asr_api.engines.protocol import Engine, EngineOptions
from asr_api.engines.whisper.config import read_json
from asr_api.errors import CheckpointError

logger = logging.getLogger(__name__)

HF_PACKAGES = ("torch", "transformers")
# What NVIDIA's driver puts on Linux, and on Linux below Windows.
DRIVERS = ("/dev/nvidiactl", "/dev/dxg")


def open_engine(options: EngineOptions) -> Engine:
    """The fastest engine that this machine can run for the checkpoint; runs in the engine process.

    Raises CheckpointError when no engine can read the checkpoint, or when what it needs is not installed.
    """
    model_type = read_json(options.checkpoint / "config.json").get("model_type")
    if model_type == "whisper":
        return _open_whisper(options)
    if not isinstance(model_type, str):
        raise CheckpointError(
            "The checkpoint's config.json names no model_type, so nobody can tell what it is; fetch it again, "
            "or choose another one as MODEL_ID."
        )
    if any(find_spec(name) is None for name in HF_PACKAGES):
        raise CheckpointError(
            f"The checkpoint is of type {model_type!r}, which needs {' and '.join(HF_PACKAGES)}; "
            "pip install 'asr-api[hf]', or choose a Whisper checkpoint as MODEL_ID."
        )
    from asr_api.engines.hf.engine import HfEngine

    return HfEngine(options)


def _open_whisper(options: EngineOptions) -> Engine:
    if _has_driver() and find_spec("torch") is None:
        logger.warning("There is a GPU, but no torch to use it with, so the CPU is used; pip install 'asr-api[cuda]'.")
    elif _has_driver():  # torch takes seconds to load, so it is only asked where there may be a card
        from asr_api.engines.cuda.device import is_available

        if is_available():
            from asr_api.engines.cuda.open_engine import open_cuda_engine

            return open_cuda_engine(options)
    from asr_api.engines.onnx.engine import OnnxEngine

    return OnnxEngine(options)


def _has_driver() -> bool:
    return any(Path(path).exists() for path in DRIVERS)
