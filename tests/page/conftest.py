"""Debian's chromium, servers for the page, and tabs in which every mishap fails the test."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest

from tests.page.tab import Tab, watched_tab
from tests.real.recordings import has_recordings, kennedy, samples
from tests.server.running import Server, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MICROPHONE_HZ = 48_000
MICROPHONE = kennedy() if has_recordings() else samples()[0]
FLAGS = (
    "--no-sandbox",  # for root
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--autoplay-policy=no-user-gesture-required",
    "--enable-precise-memory-info",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)

OpenTab = Callable[..., Tab]


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone hears, once: real speech where RECORDINGS names it, else a sample of the repository."""
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    resampler = av.AudioResampler("s16", "mono", MICROPHONE_HZ)
    with av.open(str(MICROPHONE.path)) as source:
        frames = [frame for each in source.decode(audio=0) for frame in resampler.resample(each)]
    with wave.open(str(path), "wb") as target:
        target.setparams((1, 2, MICROPHONE_HZ, 0, "NONE", ""))
        target.writeframes(b"".join(frame.to_ndarray().tobytes() for frame in frames))
    return path


@pytest.fixture(scope="session")
def browser(microphone: Path) -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    if (program := shutil.which("chromium")) is None:
        pytest.skip("chromium is missing; on Debian: apt install chromium")
    with playwright.sync_playwright() as driver:
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}%noloop"]
        browser = driver.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[OpenTab]:
    """`open_tab(server, **options of the browser's context)` → a `Tab` that shows the page."""
    with ExitStack() as stack:

        def open_one(server: Server, **options: Any) -> Tab:
            return stack.enter_context(watched_tab(browser, f"http://127.0.0.1:{server.port}/", **options))

        yield open_one


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """OpenAI's whisper-base."""
    with serving(tmp_path_factory.mktemp("base"), MODEL_ID="openai/whisper-base", RESULT_CACHE_S="600") as server:
        yield server


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Transcribes numbers at once."""
    with serving(tmp_path_factory.mktemp("scripted")) as server:
        yield server
