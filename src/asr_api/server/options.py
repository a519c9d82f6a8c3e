"""What the HTTP app is told by its settings; plain data."""

from __future__ import annotations

from dataclasses import dataclass

from asr_api.audio.source import MediaPolicy


@dataclass(frozen=True, slots=True)
class AppOptions:
    """media also bounds uploads; the ids are those of the machine in SaladCloud."""

    media: MediaPolicy
    salad_machine_id: str = ""
    salad_container_group_id: str = ""
