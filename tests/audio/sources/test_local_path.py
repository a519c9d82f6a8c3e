"""Local paths: which files a client may name, and that the policy holds for the file that is opened."""

from __future__ import annotations

import errno
import os
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from asr_api.audio.sources.local_path import open_local_path
from asr_api.audio.sources.policy import LocalPaths, MediaPolicy
from asr_api.errors import (
    AsrError,
    InvalidPath,
    LocalPathDisabled,
    MediaTooLarge,
    PathNotAllowed,
    PathNotFile,
    PathNotFound,
)

pytestmark = pytest.mark.anyio

DEFAULT = MediaPolicy()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one file; beside it a secret file, and links that lead there."""
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "root-of-others").mkdir()
    (tmp_path / "root-of-others" / "secret.wav").write_bytes(b"secret")
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "a.wav").write_bytes(b"audio")
    (root / "inside").symlink_to(root / "a.wav")
    (root / "out").symlink_to(tmp_path / "secret.wav")
    (root / "out-folder").symlink_to(tmp_path)
    (root / "nowhere").symlink_to("/nonexistent/file")
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "fifo")
    return root


def below(root: Path) -> MediaPolicy:
    return MediaPolicy(local_paths=LocalPaths(root))


async def read(path: str, policy: MediaPolicy, *, is_local_client: bool = False) -> bytes:
    async with open_local_path(path, policy, is_local_client=is_local_client) as spool:
        assert spool.size_bytes == os.fstat(spool.fd).st_size
        return os.pread(spool.fd, 100, 0)


async def open_error(path: str, policy: MediaPolicy) -> AsrError:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(AsrError) as caught:
        await read(path, policy, is_local_client=True)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    return caught.value


async def test_by_default_only_this_machine_names_paths(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await read(str(root / "a.wav"), DEFAULT, is_local_client=True) == b"audio"
    monkeypatch.chdir(root.parent)
    assert await read("root/a.wav", DEFAULT, is_local_client=True) == b"audio"
    for path in (str(root / "a.wav"), "/etc/nope", ""):
        with pytest.raises(LocalPathDisabled):
            await read(path, DEFAULT)


async def test_disabled_paths_are_disabled_for_all_clients(root: Path) -> None:
    disabled = MediaPolicy(local_paths=LocalPaths(is_enabled=False))
    assert type(await open_error(str(root / "a.wav"), disabled)) is LocalPathDisabled


@pytest.mark.parametrize("is_local_client", [True, False])
async def test_below_a_root_all_clients_name_paths(root: Path, is_local_client: bool) -> None:
    (link := root.parent / "link").symlink_to(root)
    for policy in (below(root), below(link)):
        for path in (str(root / "a.wav"), str(link / "a.wav"), "a.wav", "folder/../a.wav", "inside", "./a.wav"):
            assert await read(path, policy, is_local_client=is_local_client) == b"audio"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.wav", "/etc/passwd", "/etc/nope", "out", "out-folder/secret.wav", "out-folder/nope", "nowhere",
        "../root-of-others/secret.wav", "/proc/self/environ", "/proc/self/fd/0", "/dev/zero", "/dev/stdin",
        "/sys/kernel", "..", "/",
    ],
)  # fmt: skip
async def test_all_paths_outside_of_the_root_get_the_same_answer(root: Path, path: str) -> None:
    error = await open_error(path, below(root))
    assert type(error) is PathNotAllowed
    assert str(error) == str(await open_error("../secret.wav", below(root)))


@pytest.mark.parametrize("path", ["/proc/self/environ", "/dev/zero", "/dev/fd/0", "/proc/self/fd/1", "/sys/kernel/mm"])
async def test_devices_and_processes_are_never_opened(path: str) -> None:
    assert type(await open_error(path, DEFAULT)) is PathNotAllowed


async def test_the_reason_is_given_only_without_a_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert "user that asr-api runs as may not read that path" in str(await open_error(str(root / "a.wav"), DEFAULT))
    assert "outside of the folder that this server opens" in str(await open_error("a.wav", below(root)))


async def test_files_that_are_missing_or_not_regular(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for path in ("folder", "fifo", "socket", "."):
            assert type(await open_error(path, below(root))) is PathNotFile, path
    for path in ("nope", "folder/nope", "a.wav/x", "loop"):
        assert type(await open_error(path, below(root))) is PathNotFound, path


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000, "x" * 300, "\ud800"])
async def test_invalid_paths(root: Path, path: str) -> None:
    assert type(await open_error(path, below(root))) is InvalidPath


async def test_a_file_that_is_too_large(root: Path) -> None:
    assert type(await open_error("a.wav", replace(below(root), max_media_bytes=4))) is MediaTooLarge


async def test_a_link_that_changes_meanwhile_never_leads_outside(root: Path) -> None:
    """The target of the link changes all the time: only the file inside is ever read."""
    link, is_done = root / "swapped", threading.Event()

    def swap() -> None:
        targets = [root / "a.wav", root.parent / "secret.wav"]
        while not is_done.is_set():
            targets.reverse()
            (root / "next").symlink_to(targets[0])
            (root / "next").rename(link)

    link.symlink_to(root / "a.wav")
    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        for _ in range(3000):
            try:
                seen.add(await read("swapped", below(root)))
            except AsrError as error:
                seen.add(error.code.encode())
    finally:
        is_done.set()
        swapper.join()
    assert seen <= {b"audio", b"path_not_allowed", b"path_not_found"}
    assert b"audio" in seen
