"""`Tab`: the page in a browser as a person uses it, and a watch over errors, policies and requests to other hosts."""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

WATCH = """addEventListener("securitypolicyviolation",
    (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"""
EXPECTED = "Failed to load resource"  # a refusal or a server that is away, which the page tells by itself
WAIT_S = 20.0
PARAGRAPH = "#segments .words"


@dataclass
class Tab:
    """problems: what went wrong; empty at the end of every test. posts: requests that sent audio"""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)
    posts: list[Request] = field(default_factory=list)

    # -- what a person does ------------------------------------------------------------------------------------

    def choose(self, *files: Path | tuple[str, bytes]) -> None:
        """Files, or names and contents."""
        given = [file if isinstance(file, Path) else _payload(*file) for file in files]
        self.page.set_input_files("#file-input", given)

    def drop(self, name: str, content: bytes) -> None:
        """Drops a file onto the page."""
        self.page.evaluate(
            """([name, base64]) => {
                const dataTransfer = new DataTransfer();
                const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
                dataTransfer.items.add(new File([bytes], name));
                const options = { dataTransfer, bubbles: true, cancelable: true };
                for (const type of ["dragenter", "dragover", "drop"]) {
                    document.body.dispatchEvent(new DragEvent(type, options));
                }
            }""",
            [name, b64encode(content).decode()],
        )

    def click(self, selector: str, **options: Any) -> None:
        self.page.click(selector, **options)

    def put_caret(self, index: int, offset: int) -> None:
        """Into the text of a segment."""
        self.page.evaluate(
            """([index, offset]) => {
                const text = document.querySelectorAll("#segments > li")[index].querySelector(".words");
                text.focus();
                getSelection().collapse(text.firstChild ?? text, offset);
            }""",
            [index, offset],
        )

    def click_word(self, word: str) -> None:
        """Clicks in the middle of the first occurrence of a word in the text."""
        place = self.page.evaluate(
            """(word) => {
                for (const text of document.querySelectorAll("#segments .words")) {
                    const start = text.textContent.indexOf(word);
                    if (start < 0) continue;
                    const range = document.createRange();
                    range.setStart(text.firstChild, start);
                    range.setEnd(text.firstChild, start + word.length);
                    const { left, top, width, height } = range.getBoundingClientRect();
                    return [left + width / 2, top + height / 2];
                }
            }""",
            word,
        )
        self.page.mouse.click(*place)

    def save(self, format_name: str) -> bytes:
        """Downloads the open transcript."""
        self.click("#download-button")
        self.page.select_option("#format-select", format_name)
        with self.page.expect_download() as started:
            self.click("#download-save")
        self.page.keyboard.press("Escape")
        return Path(started.value.path()).read_bytes()

    # -- what a person sees ------------------------------------------------------------------------------------

    def texts(self) -> list[str]:
        """Of the segments."""
        return self.page.locator(PARAGRAPH).all_text_contents()

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def lit(self, name: str = "spoken") -> list[str]:
        """Texts that are highlighted."""
        found: list[str] = self.page.evaluate(
            """(name) => [...(CSS.highlights.get(name) ?? [])].map(
                (range) => range.startContainer.textContent.slice(range.startOffset, range.endOffset))""",
            name,
        )
        return found

    def audio(self, expression: str) -> Any:
        """Of the audio element, such as `currentTime`."""
        return self.page.evaluate(f"document.getElementById('audio').{expression}")

    def stored(self) -> list[dict[str, Any]]:
        """All transcripts in the browser's store."""
        found: list[dict[str, Any]] = self.page.evaluate(
            """async () => {
                const { openStore } = await import(document.querySelector("script[src]").src.replace("main", "store"));
                const store = await openStore();
                const all = await store.all();
                store.database.close();
                return all;
            }"""
        )
        return found

    # -- waiting -----------------------------------------------------------------------------------------------

    def wait(self, condition: Callable[[], object], what: str = "", timeout_s: float = WAIT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"{what or 'this'} did not come: {self.page.inner_text('body')[:2000]}"
            self.page.wait_for_timeout(20)

    def wait_for(self, selector: str) -> None:
        self.page.wait_for_selector(selector, timeout=WAIT_S * 1000)

    def wait_until_complete(self, num: int = 1) -> None:
        """Until as many transcripts are complete and saved."""
        self.wait(lambda: self.num_complete() >= num, f"{num} complete transcripts")

    def num_complete(self) -> int:
        return sum(transcript["state"] == "complete" for transcript in self.stored())

    def transcribe(self, *files: Path | tuple[str, bytes]) -> Sequence[str]:
        """Chooses files and waits for their texts; returns the segments of the one that is shown."""
        before = self.num_complete()
        self.choose(*files)
        self.wait_until_complete(before + len(files))
        return self.texts()

    def reload(self) -> None:
        self.wait(lambda: not self.page.evaluate("document.getElementById('save-state').textContent.endsWith('…')"))
        self.page.reload()
        self.wait(lambda: self.text("#model"), "the model")


def _payload(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "audio/wav", "buffer": content}


@contextmanager
def watched_tab(browser: Browser, url: str, key: str = "", **options: Any) -> Iterator[Tab]:
    """key: of a server that asks for one"""
    settings = {"locale": "en-US", "viewport": {"width": 1440, "height": 900}, "permissions": ["microphone"]}
    context = browser.new_context(**{**settings, **options})
    context.add_init_script(WATCH)
    tab = Tab(context.new_page(), url)
    watch(tab)
    tab.page.goto(url)
    if key:
        tab.page.fill("#key-input", key)
        tab.click("#key-dialog [value=ok]")
    tab.wait_for("#model:not(:empty)")
    yield tab
    context.close()
    assert tab.problems == []


def watch(tab: Tab) -> None:
    """Errors, violations of the policy and requests to other hosts become problems of the tab."""
    own = urlsplit(tab.url).netloc

    def see_request(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"blob", "data"} and parts.netloc != own:
            tab.problems.append(f"request to {request.url}")
        if request.method == "POST":
            tab.posts.append(request)

    def see_message(kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not text.startswith(EXPECTED):
            tab.problems.append(text)

    tab.page.on("request", see_request)
    tab.page.on("console", lambda message: see_message(message.type, message.text))
    tab.page.on("pageerror", lambda error: tab.problems.append(f"{error}"))
    tab.page.on("dialog", lambda dialog: dialog.accept())


def numbers(texts: Sequence[str]) -> list[int]:
    """What the scripted engine has heard."""
    return [int(number) for text in texts for number in re.findall(r"\d+", text)]


def export_of(*transcripts: dict[str, Any]) -> dict[str, Any]:
    """A file for "Import"."""
    content = json.dumps({"format": "asr-api transcripts", "version": 1, "transcripts": transcripts})
    return {"name": "export.json", "mimeType": "application/json", "buffer": content.encode()}
