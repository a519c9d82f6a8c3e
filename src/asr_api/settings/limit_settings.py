"""Settings of the limits: open requests, sizes, lengths, and how long results are kept."""

from __future__ import annotations

from asr_api.settings.declaration import DeclaredSettings, setting

MIB = 1024 * 1024


class LimitSettings(DeclaredSettings):
    max_requests: int = setting(
        lambda before: 4 * before["batch_size"],
        "Most requests in progress or waiting; the next one gets 429 with the time to try again.",
        shown="4 × `BATCH_SIZE`",
        ge=1,
        server_only=True,
    )
    request_timeout_s: float = setting(
        0,
        "Longest time of a request in seconds, its upload included, and the timeout of requests that have none. With 0 "
        "there is no limit.",
        ge=0,
        server_only=True,
    )
    result_cache_s: float = setting(
        600,
        "Seconds for which a transcript stays in memory (64 MiB at most), for repeats of the same request: the same "
        "content, parameters and API key. With 0 none stays, and repeats do not join a running transcription either.",
        ge=0,
        server_only=True,
    )
    max_upload_mb: int = setting(512, "Largest upload or download, in MiB.", ge=1, le=MIB)
    max_audio_s: float = setting(14_400, "Longest audio, in seconds.", gt=0)
