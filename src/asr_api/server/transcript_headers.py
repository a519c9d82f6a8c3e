"""Headers of a reply with a transcript: figures of the original's contract, language, doubts and damage."""

from __future__ import annotations

from asr_api.engines.protocol import EngineInfo
from asr_api.settings.settings import Settings
from asr_api.transcript import Transcript


def transcript_headers(
    transcript: Transcript, info: EngineInfo, settings: Settings, elapsed_s: float
) -> dict[str, str]:
    """elapsed_s: without the upload, with the download of a link, as the original counted."""
    audio_s = transcript.audio_ms / 1000
    elapsed_s = max(round(elapsed_s, 4), 0.0001)  # so that the three figures agree
    headers = {
        "x-processing-time": f"{elapsed_s}",
        "x-audio-length": f"{audio_s:.3f}",
        "x-realtime-factor": f"{audio_s / elapsed_s:.4f}",
        "x-model-id": _printable(info.model_id),
        "x-gpu-name": _printable(info.device_name),
        "x-salad-machine-id": _printable(settings.salad_machine_id),
        "x-salad-container-group-id": _printable(settings.salad_container_group_id),
    }
    if transcript.end.is_truncated:
        headers["x-audio-truncated"] = "1"
    if transcript.end.is_damaged:
        headers["x-audio-damaged"] = "1"
    if transcript.language is not None:
        headers["x-language"] = transcript.language
    if transcript.num_doubts:
        headers["x-transcript-doubts"] = str(transcript.num_doubts)
    return headers


def _printable(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text)
