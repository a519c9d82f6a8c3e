"""Options of a load, as the parent hands them to the process that makes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.chaos.planned_requests import Mix
from benchmarks.chaos.recordings import HOUR, NUM_MINUTES, TEN_MINUTES, TEN_MINUTES_S

PATIENCE_S = 120.0
LONGEST_CLIP_S, MINUTE_S = 60.0, 45.7


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """duration_s: no request begins later; max_requests: nor after so many
    pacing_s:        from the beginning of a client's request to that of its next one, if it is done by then;
                     0 sends it at once, and after a refusal when the server says
    s_per_audio_s:   what a second of audio may take beyond PATIENCE_S, before the request counts as hung
    """

    port: int
    seed: int
    num_clients: int
    folder: str
    media_url: str
    duration_s: float = 1e9
    max_requests: int = 10**9
    pacing_s: float = 0.0
    mix: Mix = Mix.EVERYTHING
    s_per_audio_s: float = 0.2

    def patience_s(self, content: str) -> float:
        lengths_s = {HOUR: NUM_MINUTES * MINUTE_S, TEN_MINUTES: TEN_MINUTES_S}
        return PATIENCE_S + lengths_s.get(content, LONGEST_CLIP_S) * self.s_per_audio_s

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_load_options(path: Path) -> LoadOptions:
    fields = json.loads(path.read_text(encoding="utf-8"))
    return LoadOptions(**fields | {"mix": Mix(fields["mix"])})
