"""`AppOptions`: the settings of the HTTP app, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from asr_api.audio.sources.policy import MediaPolicy
from asr_api.options import TranscribeOptions


@dataclass(frozen=True, slots=True)
class AppOptions:
    """media: bounds uploads, too; salad_…: ids of the machine; defaults: of a request without parameters"""

    media: MediaPolicy
    salad_machine_id: str = ""
    salad_container_group_id: str = ""
    defaults: TranscribeOptions = field(default_factory=TranscribeOptions)
