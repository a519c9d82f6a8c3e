"""`asr-api bench`: how fast this machine is with this model and these settings.

A table on stderr, row by row as it is measured, then one line of JSON on stdout. What is being done shows on a terminal
and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asr_api.audio.decoding.decoder import DecodeLimits, Decoder
from asr_api.audio.sources.open_reference import open_reference
from asr_api.audio.sources.policy import LocalPaths
from asr_api.audio.sources.spool import Spool
from asr_api.benchmark.figures import ClipFigures, FileFigures, SlotFigures
from asr_api.benchmark.measure import Plan, measure
from asr_api.benchmark.report import HEADER, closing, opening, row, to_json
from asr_api.benchmark.speech import MINUTE, read_speech
from asr_api.cli.files import is_link, print_out
from asr_api.compose import default_options, media_policy
from asr_api.engines.cpu import usable_cores
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import PathNotFound
from asr_api.parameters import RawParameter, read_parameters
from asr_api.settings.settings import Settings

OK = 0
QUICK = 1 / 3
CLEAR_LINE = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for; None is the default."""

    recording: str | None
    seconds: float
    clients: tuple[int, ...] | None
    slots: tuple[int, ...] | None
    is_quick: bool

    @property
    def plan(self) -> Plan:
        usual = Plan()
        slots = usual.slots if self.slots is None else self.slots
        return Plan(
            usual.clients if self.clients is None else self.clients,
            () if self.is_quick else slots,
            self.seconds * (QUICK if self.is_quick else 1),
        )


async def bench(settings: Settings, wanted: Wanted, wishes: Sequence[RawParameter]) -> int:
    """The exit code. Raises StartupError, or what is wrong with the recording or the wishes."""
    options = read_parameters(wishes, default_options(settings))
    decoder = Decoder(DecodeLimits(max_audio_s=settings.max_audio_s))
    table = _Table()
    try:
        async with await _open(wanted.recording, settings) as spool:
            table.on_step("reading the recording")
            speech = await read_speech(spool, decoder)
            await decoder.aclose()
            try:
                findings = await measure(settings, speech, options, wanted.plan, table)
            finally:
                await speech.aclose()
    finally:
        table.clear()
        await decoder.aclose()
    table.print(closing(findings))
    print_out(to_json(findings) + "\n")
    return OK


async def _open(recording: str | None, settings: Settings) -> Spool:
    policy = replace(media_policy(settings), local_paths=LocalPaths())
    if recording is not None and is_link(recording):
        return await open_reference(recording, policy, is_local_client=True)
    path = MINUTE if recording is None else Path.cwd() / recording
    try:
        return await open_reference(str(path), replace(policy, max_media_bytes=sys.maxsize), is_local_client=True)
    except PathNotFound:
        raise PathNotFound(f"{recording}: there is no such file; check the spelling.") from None


class _Table:
    """Tells people, on stderr."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._section = ""

    def on_step(self, step: str) -> None:
        if self._is_terminal:
            sys.stderr.write(f"{CLEAR_LINE}{step} …")
            sys.stderr.flush()

    def on_ready(self, info: EngineInfo, load_s: float) -> None:
        self.print(opening(info, usable_cores(), load_s))
        for note in info.notes:
            self.print(note)
        self.print(HEADER)

    def on_found(self, found: FileFigures | ClipFigures | SlotFigures) -> None:
        self.print(row(found))

    def print(self, text: str) -> None:
        self.clear()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        if self._is_terminal:
            sys.stderr.write(CLEAR_LINE)
            sys.stderr.flush()
