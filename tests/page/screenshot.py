"""`python -m tests.page.screenshot` takes docs/page.png, the picture in the README, from the running page."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.page.conftest import FLAGS
from tests.page.tab import Tab, watched_tab
from tests.product.samples import SAMPLES
from tests.server.running import ROOT, serving

PICTURE = ROOT / "docs/page.png"
SPEAKERS = ((0, "Ann", "onward"), (4, "Bob", "onward"))


def main() -> None:
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), MODEL_ID="openai/whisper-base") as server,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        viewport = {"width": 1280, "height": 760}
        with watched_tab(browser, f"http://127.0.0.1:{server.port}/", viewport=viewport) as tab:
            take(tab)
        browser.close()


def take(tab: Tab) -> None:
    for name in ("timer.mp3", "weather.m4a", "minute.mp3"):
        tab.transcribe(SAMPLES / name)
    for index, name, scope in SPEAKERS:
        tab.page.hover(f"#segments > li >> nth={index}")
        tab.click(f"#segments .speaker >> nth={index}")
        tab.page.fill("#speaker-input", name)
        tab.page.check(f"[name=scope][value={scope}]")
        tab.click("#speaker-dialog [value=ok]")
    tab.page.mouse.move(5, 5)
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.evaluate("document.getElementById('audio').currentTime = 12.6")
    tab.wait(tab.lit)
    tab.page.wait_for_timeout(500)
    tab.page.screenshot(path=PICTURE)


if __name__ == "__main__":
    main()
