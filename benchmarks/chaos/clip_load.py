"""A server of this program's own with the texts of all clips, for the programs whose load is clips alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.chaos.load_options import LoadOptions
from benchmarks.chaos.outcomes import Expected
from benchmarks.chaos.own_server import PROGRAM, OwnServer, own_server
from benchmarks.chaos.planned_requests import Mix
from benchmarks.chaos.recordings import Recording, clip_names, make_recordings, write_recordings
from benchmarks.chaos.references import clip_references, learn_references


@dataclass(frozen=True, slots=True)
class ClipServer:
    server: OwnServer
    pid: int
    recordings: Mapping[str, Recording]
    expected: Mapping[str, Expected]

    def load_options(self, seed: int, num_clients: int) -> LoadOptions:
        return LoadOptions(self.server.port, seed, num_clients, str(self.server.folder), "", mix=Mix.CLIPS)


@contextmanager
def clip_server(
    settings: Mapping[str, str] | None = None, *, program: Sequence[str] = PROGRAM, cores: set[int] | None = None
) -> Iterator[ClipServer]:
    recordings = asyncio.run(make_recordings())
    with own_server(settings, program=program, cores=cores) as server:
        assert server.pid is not None  # noqa: S101 – it is our own
        write_recordings(recordings, server.folder)
        expected, _ = learn_references(server.port, clip_references(clip_names()), recordings)
        yield ClipServer(server, server.pid, recordings, expected)
