"""Sources of `asr-api transcribe`: what a folder stands for, unreadable entries, order and outputs."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import av
import pytest

from asr_api.audio.decoding.worker.formats import DEMUXERS
from asr_api.cli.sources import AUDIO_EXTENSIONS, list_sources
from asr_api.errors import PathNotFound
from tests.server.in_process import Cli

T = TypeVar("T")


def test_unreadable_entries_are_reported(cli: Cli, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is closed by a patch, because a file mode does not stop root."""
    closed = recordings / "closed"
    closed.mkdir()
    (recordings / "gone.wav").symlink_to("/nowhere/at/all.wav")
    (recordings / "README.md").symlink_to("/nowhere/at/all.md")
    (recordings / "again").symlink_to(recordings / "more")
    (outside := recordings.parent / "outside").mkdir()
    (outside / "c.WAV").write_bytes((recordings / "more" / "c.WAV").read_bytes())
    (recordings / "zz").symlink_to(outside)
    (recordings / "more" / "back").symlink_to(recordings)
    for module, name in ((os, "listdir"), (os, "scandir"), (os, "open")):
        monkeypatch.setattr(module, name, closed_to(getattr(module, name), closed))
    ended = cli.run("transcribe", "recordings")
    lines = ("a.wav: 1 11", "b.wav: 2 22", "more/c.WAV: 3", "zz/c.WAV: 3")
    assert ended.stdout.splitlines() == [f"recordings/{line}" for line in lines]
    unreadable = "The user that asr-api runs as may not read that path; "
    closed_line, gone_line = ended.stderr.splitlines()
    assert closed_line.startswith(f"asr-api: recordings/closed: {unreadable}")
    assert gone_line == "asr-api: recordings/gone.wav: It is a broken link; repair or remove it."
    assert ended.code == 1
    monkeypatch.chdir(closed)
    for name in (str(closed), "."):
        ended = cli.run("transcribe", name)
        assert (ended.code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
        assert ended.stderr.startswith(f"asr-api: {name}: {unreadable}")


def closed_to(function: Callable[..., T], folder: Path) -> Callable[..., T]:
    def open_unless_closed(path: object, *arguments: object, **named: object) -> T:
        if isinstance(path, str | Path) and Path(path).absolute() == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return function(path, *arguments, **named)

    return open_unless_closed


def test_extensions_of_every_supported_container_are_known() -> None:
    known = {name: av.ContainerFormat(name, "r").extensions or {name} for name in DEMUXERS.split(",")}
    unnamed = {"amrnb", "amrwb", "ilbc", "mpegts"}  # the library has no extensions for them: amr, lbc and ts, mts, m2ts
    assert {name for name, extensions in known.items() if not extensions & AUDIO_EXTENSIONS} == unnamed


def test_the_order_and_the_outputs_of_sources(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recordings)
    link = "https://example.org/talks/talk.v1.mp3?key=1"
    listed = list_sources([".", link, "more/c.WAV"])
    assert [source.name for source in listed] == ["a.wav", "b.wav", "more/c.WAV", link, "more/c.WAV"]
    assert [str(source.output) for source in listed] == ["a", "b", "more/c", "talk.v1", "c"]
    (recordings / "empty").mkdir()
    with pytest.raises(PathNotFound, match="empty contains no audio file"):
        list_sources(["empty"])
