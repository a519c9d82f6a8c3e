"""What the HTTP app is told by its settings; plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from asr_api.audio.sources.policy import MediaPolicy
from asr_api.options import TranscribeOptions


@dataclass(frozen=True, slots=True)
class AppOptions:
    """media also bounds uploads; the ids are those of the machine in SaladCloud; defaults: of plain requests."""

    media: MediaPolicy
    salad_machine_id: str = ""
    salad_container_group_id: str = ""
    defaults: TranscribeOptions = field(default_factory=TranscribeOptions)
