"""Local paths: which files a client may name, and that the policy holds for the file that is opened."""

from __future__ import annotations

import errno
import os
import socket
import threading
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest

from asr_api import errors
from asr_api.audio.sources.local_path import open_local_path
from asr_api.audio.sources.policy import LocalPaths, MediaPolicy
from asr_api.errors import AsrError

pytestmark = pytest.mark.anyio

DEFAULT = MediaPolicy()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one file; beside it a secret file, and links that lead there."""
    root = tmp_path / "root"
    for folder in (root / "folder", tmp_path / "root-of-others"):
        folder.mkdir(parents=True)
    for path, data in (("root/a.wav", b"audio"), ("secret.wav", b"secret"), ("root-of-others/secret.wav", b"secret")):
        (tmp_path / path).write_bytes(data)
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
    before = psutil.Process().num_fds()
    with pytest.raises(AsrError) as caught:
        await read(path, policy, is_local_client=True)
    assert psutil.Process().num_fds() == before
    return caught.value


async def test_by_default_only_this_machine_names_paths(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await read(str(root / "a.wav"), DEFAULT, is_local_client=True) == b"audio"
    monkeypatch.chdir(root.parent)
    assert await read("root/a.wav", DEFAULT, is_local_client=True) == b"audio"
    for path in (str(root / "a.wav"), "/etc/nope", ""):
        with pytest.raises(errors.LocalPathDisabled):
            await read(path, DEFAULT)


async def test_disabled_paths_are_disabled_for_all_clients(root: Path) -> None:
    disabled = MediaPolicy(local_paths=LocalPaths(is_enabled=False))
    assert type(await open_error(str(root / "a.wav"), disabled)) is errors.LocalPathDisabled


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
    error, other = await open_error(path, below(root)), await open_error("../secret.wav", below(root))
    assert (type(error), str(error)) == (errors.PathNotAllowed, str(other))


@pytest.mark.parametrize("path", ["/proc/self/environ", "/dev/zero", "/dev/fd/0", "/proc/self/fd/1", "/sys/kernel/mm"])
async def test_devices_and_processes_are_never_opened(path: str) -> None:
    assert type(await open_error(path, DEFAULT)) is errors.PathNotAllowed


async def test_the_reason_is_given_only_without_a_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
    assert "user that asr-api runs as may not read that path" in str(await open_error(str(root / "a.wav"), DEFAULT))
    assert "outside of the folder that this server opens" in str(await open_error("a.wav", below(root)))


@pytest.mark.parametrize(
    ("error", "paths"),
    [
        (errors.PathNotFile, ["folder", "fifo", "socket", "."]),
        (errors.PathNotFound, ["nope", "folder/nope", "a.wav/x", "loop"]),
        (errors.InvalidPath, ["", "a\0b", "x" * 5000, "x" * 300, "\ud800"]),
    ],
)
async def test_paths_that_name_no_file(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: type[AsrError], paths: list[str]
) -> None:
    monkeypatch.chdir(root)  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for path in paths:
            assert type(await open_error(path, below(root))) is error, path


async def test_a_file_that_is_too_large(root: Path) -> None:
    assert type(await open_error("a.wav", replace(below(root), max_media_bytes=4))) is errors.MediaTooLarge


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
