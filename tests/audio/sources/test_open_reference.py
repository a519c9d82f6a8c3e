"""References that clients send: a cancelled request leaves no descriptor open."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import psutil
import pytest

from asr_api.audio.sources import open_reference as open_reference_module
from asr_api.audio.sources.local_path import open_local_path
from asr_api.audio.sources.open_reference import open_reference
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.audio.sources.spool import Spool
from asr_api.errors import PathNotFound
from tests.audio.decoding.decode_media import wait_until

pytestmark = pytest.mark.anyio


@pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("exists", [True, False])
async def test_a_path_that_is_opened_for_a_cancelled_request_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    """As on a slow network file system."""
    is_opening, may_open = threading.Event(), threading.Event()
    opened: list[Spool] = []

    def open_slowly(path: str, policy: MediaPolicy, *, is_local_client: bool) -> Spool:
        is_opening.set()
        assert may_open.wait(5)
        opened.append(open_local_path(path, policy, is_local_client=is_local_client))
        return opened[-1]

    monkeypatch.setattr(open_reference_module, "open_local_path", open_slowly)
    path = tmp_path / "talk.wav"
    if exists:
        path.write_bytes(b"x")
    task = asyncio.create_task(open_reference(str(path), MediaPolicy(), is_local_client=True))
    await asyncio.to_thread(is_opening.wait, 5)
    num_fds = psutil.Process().num_fds()
    task.cancel()
    await asyncio.wait([task])  # does not wait for the file system
    assert task.cancelled()
    may_open.set()
    await wait_until(lambda: bool(opened) or not exists)
    await wait_until(lambda: psutil.Process().num_fds() == num_fds)


async def test_a_path_is_opened_and_its_error_is_raised(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(b"x")
    async with await open_reference(str(tmp_path / "talk.wav"), MediaPolicy(), is_local_client=True) as spool:
        assert spool.size_bytes == 1
    with pytest.raises(PathNotFound):
        await open_reference(str(tmp_path / "none.wav"), MediaPolicy(), is_local_client=True)
