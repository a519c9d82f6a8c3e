"""A server that is attacked: what each bad input must get, and what it must leave as it was."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.attack.link_sites import LinkSites
from tests.server.forms import CONTENT_TYPE, form, part
from tests.server.running import Server, serving

# What tells a stranger about this machine or this program.
LEAKS = re.compile(r"Traceback|File \"|\b0x[0-9a-f]{4}|/(tmp|home|root|work|usr|var|opt|proc/self)/|site-packages")
SETTLED_S = 10.0
JSON = "Content-Type: application/json"


@dataclass(frozen=True)
class Request:
    """headers: whole lines; {port} in the body is that of the media server"""

    target: str = "/asr"
    body: bytes = b""
    headers: tuple[str, ...] = ()
    method: str = "POST"

    def raw(self, sites: LinkSites | None = None) -> bytes:
        body = self.body if sites is None else sites.filled(self.body)
        lines = [f"{self.method} {self.target} HTTP/1.1", *self.headers]
        names = {line.partition(":")[0].lower() for line in lines[1:]}
        lines += [] if "host" in names else ["Host: localhost"]
        lines += [] if names & {"content-length", "transfer-encoding"} else [f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


@dataclass(frozen=True)
class BadInput:
    """request: bytes are sent as they are; code: "" for a transcript; headers: of the reply, by names in lower case

    length_s: of the audio of a transcript; max_cpu_s: of the server's own process
    """

    name: str
    request: Request | bytes
    status: int
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    length_s: float | None = None
    max_cpu_s: float = 0.2

    @property
    def path(self) -> str:
        return self.request.target.partition("?")[0] if isinstance(self.request, Request) else "/asr"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Received:
    """The bytes of a reply, as http.client reads them."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._data)


def reply_of(data: bytes) -> Reply:
    """The first one in these bytes."""
    response = http.client.HTTPResponse(_Received(data), method="POST")  # type: ignore[arg-type]
    response.begin()
    return Reply(response.status, {name.lower(): text for name, text in response.getheaders()}, response.read())


def error_code(path: str, reply: Reply) -> str:
    """Checks the shape of the error for this path, and that it tells no secret."""
    text = reply.body.decode()
    assert not LEAKS.search(text), text
    error = json.loads(text)
    if path.startswith("/v1/listen"):
        assert set(error) == {"err_code", "err_msg", "request_id"}, text
        code, sentence = error["err_code"], error["err_msg"]
    elif path.startswith("/v1/"):
        assert set(error) == {"error"}, text
        assert set(error["error"]) == {"message", "type", "param", "code"}, text
        code, sentence = error["error"]["code"], error["error"]["message"]
    else:
        assert set(error) == {"error", "code", "request_id"}, text
        assert error["request_id"] == reply.headers["x-request-id"]
        code, sentence = error["code"], error["error"]
    assert sentence.endswith("."), sentence
    assert reply.headers["x-request-id"]
    is_retryable = reply.status in {429, 503}
    assert ("retry-after" in reply.headers) is is_retryable
    assert (reply.headers.get("x-should-retry") == "false") is not is_retryable
    return str(code)


@dataclass
class WatchedServer:
    server: Server
    temporary: Path
    sites: LinkSites | None = None

    def __post_init__(self) -> None:
        self._process = psutil.Process(self.server.process.pid)
        self._log_bytes = 0
        self._usual = (0, 0)

    def settle(self) -> None:
        """Takes what is open now as what must be open after each input."""
        time.sleep(0.5)  # for the decoder's next spare
        self._usual = self._counts()
        self._log_bytes = self.server.log.stat().st_size

    def send(self, request: Request | bytes, timeout_s: float = 30) -> Reply:
        return reply_of(self.raw_replies(request, timeout_s))

    def raw_replies(self, request: Request | bytes, timeout_s: float = 30) -> bytes:
        """Everything that the server sends until it closes; it may close while the request is being sent."""
        data = request if isinstance(request, bytes) else request.raw(self.sites)
        received = bytearray()
        with self.server.connect() as wire:
            wire.settimeout(timeout_s)
            with contextlib.suppress(ConnectionError):
                wire.sendall(data)
            with contextlib.suppress(ConnectionError):
                while piece := wire.recv(2**16):
                    received += piece
        return bytes(received)

    def deviation(self, row: BadInput) -> str:
        """What is not as it should be; empty if all is well."""
        before_s = self._cpu_s()
        try:
            _check_reply(row, self.send(row.request))
            self.check_unharmed()
        except (AssertionError, http.client.HTTPException, TimeoutError) as error:
            return f"{type(error).__name__} {error}"
        spent_s = self._cpu_s() - before_s
        return "" if spent_s <= row.max_cpu_s else f"took {spent_s:.2f} s of the server's CPU time"

    def check_unharmed(self) -> None:
        """Alive, descriptors and processes as before, no file, no hit of the canary, no error in the log."""
        assert self.server.process.poll() is None, "the server has ended"
        deadline = time.monotonic() + SETTLED_S
        while (now := self._counts()) != self._usual:
            assert time.monotonic() < deadline, f"descriptors and processes: {now} and not {self._usual}"
            time.sleep(0.005)
        assert [*self.temporary.iterdir()] == []
        assert self.sites is None or self.sites.hits == []
        written = self.new_log()
        assert "Traceback" not in written, written[-500:]
        assert " ERROR " not in written, written[-500:]

    def new_log(self) -> str:
        """What was logged since the last call."""
        with self.server.log.open("rb") as file:
            file.seek(self._log_bytes)
            data = file.read()
        self._log_bytes += len(data)
        return data.decode()

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def _counts(self) -> tuple[int, int]:
        return self._process.num_fds(), len(self._process.children(recursive=True))


def _check_reply(row: BadInput, reply: Reply) -> None:
    shown = f"{reply.status} {reply.body[:300]!r}"
    assert reply.status == row.status, shown
    for name, text in row.headers.items():
        assert reply.headers.get(name) == text, (name, reply.headers.get(name))
    if row.status >= 400:
        code = error_code(row.path, reply)
        assert code == row.code or row.path == "/v1/listen", shown
        return
    assert b'"error"' not in reply.body, shown
    if row.length_s is not None:
        assert abs(float(reply.headers["x-audio-length"]) - row.length_s) < 0.1, reply.headers["x-audio-length"]


@contextlib.contextmanager
def watching(
    folder: Path, script: Mapping[str, object], sites: LinkSites | None = None, **settings: str
) -> Iterator[WatchedServer]:
    (temporary := folder / "temporary").mkdir()
    with serving(folder, script, wait=True, TMPDIR=str(temporary), **settings) as server:
        watched = WatchedServer(server, temporary, sites)
        watched.settle()
        yield watched


def upload(audio: bytes, *fields: bytes, target: str = "/v1/audio/transcriptions", more: str = "") -> Request:
    """A form with the file and the fields behind it. more: behind the name of the file's part"""
    file = part(audio, more=more or '; filename="a.wav"')
    return Request(target, form(file, *fields), (f"Content-Type: {CONTENT_TYPE}",))


def named(url: str, target: str = "/asr") -> Request:
    """A reference in JSON."""
    return Request(target, json.dumps({"url": url}).encode(), (JSON,))
