"""`python -m tests.server.scripted_server SCRIPT ARGUMENT…`: the asr-api command with the scripted engine.

SCRIPT is JSON with the fields of `Script`, `heartbeat_s` for replies that take long, and `names`, which are resolved
without a name server: host → what each lookup answers; the last answer stays. What is loud counts as speech.
Everything else is real: the sockets, the decoder, the engine's process.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from asr_api import compose
from asr_api.audio.sources import name_resolution
from asr_api.cli.main import main
from asr_api.engines.checkpoints.resolve import CheckpointFiles
from asr_api.engines.protocol import EngineOptions
from asr_api.server.heartbeat_replies import EVENT_HEARTBEAT, JSON_HEARTBEAT
from tests.engines.scripted import Script, ScriptedEngine
from tests.loudness_detector import LoudnessDetector


def open_scripted(script: Script, _options: EngineOptions) -> ScriptedEngine:
    return ScriptedEngine(script)


def set_heartbeats(seconds: float) -> None:
    """In the objects, which other modules have imported."""
    for heartbeat in (JSON_HEARTBEAT, EVENT_HEARTBEAT):
        for name in ("patience_s", "interval_s"):
            object.__setattr__(heartbeat, name, seconds)


def set_names(names: dict[str, list[list[str]]]) -> None:
    real = name_resolution.look_up

    def look_up(host: str, flags: int = 0) -> list[str]:
        answers = None if flags else names.get(host.removesuffix("."))
        if answers is None:
            return real(host, flags)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    vars(name_resolution)["look_up"] = look_up


if __name__ == "__main__":
    # By its importable name, so that it can be unpickled in the engine's process.
    from tests.server.scripted_server import open_scripted as by_name

    script = json.loads(sys.argv[1])
    if heartbeat_s := script.pop("heartbeat_s", None):
        set_heartbeats(heartbeat_s)
    if names := script.pop("names", None):
        set_names(names)
    vars(compose)["open_engine"] = partial(by_name, Script(**script))
    vars(compose)["SileroVad"] = LoudnessDetector
    vars(compose)["resolve_checkpoint"] = lambda *_, **__: CheckpointFiles(Path())
    sys.exit(main(sys.argv[2:]))
