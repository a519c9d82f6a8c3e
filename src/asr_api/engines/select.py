"""Chooses the engine for a checkpoint on this machine. Heavy libraries are imported only with their engine."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.engines.protocol import Engine, EngineOptions
from asr_api.errors import CheckpointError
from asr_api.install_hint import install_command

logger = logging.getLogger(__name__)

HF_PACKAGES = ("torch", "transformers")
# Device files of NVIDIA's driver on Linux, and on Linux in Windows.
DRIVERS = ("/dev/nvidiactl", "/dev/dxg")


def open_engine(options: EngineOptions) -> Engine:
    """The fastest engine that this machine can run for the checkpoint; called in the engine process.

    Raises CheckpointError when no engine can read the checkpoint, or when a package that it needs is not installed.
    """
    model_type = open_checkpoint(options.checkpoint, options.weight_files).model_type
    if model_type == "whisper":
        return _open_whisper_engine(options)
    if any(find_spec(name) is None for name in HF_PACKAGES):
        raise CheckpointError(
            f"The checkpoint is of type {model_type!r}, which needs {' and '.join(HF_PACKAGES)}; "
            f"run: {install_command('hf')}, or choose a Whisper checkpoint as MODEL_ID."
        )
    from asr_api.engines.hf.engine import HfEngine

    return HfEngine(options)


def _open_whisper_engine(options: EngineOptions) -> Engine:
    if _has_gpu_driver() and find_spec("torch") is None:
        command = install_command("cuda")
        logger.warning("A GPU was found, but torch is not installed, so the CPU is used; run: %s", command)
    elif _has_gpu_driver():  # importing torch takes seconds, so it is imported only where there may be a GPU
        from asr_api.engines.cuda.device import is_available

        if is_available():
            from asr_api.engines.cuda.open_engine import open_cuda_engine

            return open_cuda_engine(options)
    from asr_api.engines.onnx.open_engine import open_onnx_engine

    return open_onnx_engine(options)


def _has_gpu_driver() -> bool:
    return any(Path(path).exists() for path in DRIVERS)
