"""Variables of other servers that somebody may have moved here with: they have no effect, which is said at start."""

from __future__ import annotations

import os

OURS = {
    "ALLOW_ORIGINS": "CORS_ORIGINS",
    "API_KEY": "API_KEYS",
    "ASR_MODEL": "MODEL_ID",
    "ASR_MODEL_PATH": "CACHE_DIR",
    "ASR_QUANTIZATION": "COMPUTE_TYPE",
    "ENABLE_UI": "PAGE",
    "UVICORN_HOST": "HOST",
    "UVICORN_PORT": "PORT",
    "WHISPER_API_KEY": "API_KEYS",
    "WHISPER_BEAM": "BEAM_SIZE",
    "WHISPER_COMPUTE_TYPE": "COMPUTE_TYPE",
    "WHISPER_LANGUAGE": "DEFAULT_LANGUAGE",
    "WHISPER_LOG_LEVEL": "LOG_LEVEL",
    "WHISPER_MODEL": "MODEL_ID",
    "WHISPER_PORT": "PORT",
    "WHISPER_THREADS": "NUM_THREADS",
    "WHISPER__COMPUTE_TYPE": "COMPUTE_TYPE",
    "WHISPER__CPU_THREADS": "NUM_THREADS",
    "WHISPER__MODEL": "MODEL_ID",
}
"""Of the servers in docs/coming-from → the setting here."""


def variables_without_effect() -> dict[str, str]:
    """Those that are set while ours is not, and ours. Their values may be secret."""
    return {theirs: ours for theirs, ours in OURS.items() if theirs in os.environ and ours not in os.environ}
