"""A media server on 127.0.0.2, where links may lead, and a canary on addresses of this machine, where none may lead."""

from __future__ import annotations

import contextlib
import itertools
import socket
import socketserver
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MEDIA = "127.0.0.2"
CANARIES = ("127.0.0.1", "127.0.0.3", "::1")
NUM_PORTS_TRIED = 20
# Host → what each lookup answers; the last one stays. The second answer for rebind.test is the canary.
NAMES = {
    "good.test": [[MEDIA]],
    "sub.good.test": [[MEDIA]],
    "good.test.evil.test": [[MEDIA]],
    "evil.test": [["127.0.0.3"]],
    "mixed.test": [[MEDIA, "127.0.0.3"]],
    "rebind.test": [[MEDIA], ["127.0.0.3"]],
}


@dataclass
class LinkSites:
    """answers: path → pieces of the raw reply, in which {port} is filled in; hits: what came to the canary"""

    port: int = 0
    answers: dict[str, Iterable[bytes]] = field(default_factory=dict)
    hits: list[str] = field(default_factory=list)

    def filled(self, text: bytes) -> bytes:
        return text.replace(b"{port}", str(self.port).encode())

    def answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            target = connection.makefile("rb").readline().split()[1].decode()
            for piece in self.answers.get(target, [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]):
                connection.sendall(self.filled(piece))


@contextlib.contextmanager
def open_sites() -> Iterator[LinkSites]:
    """All on one port. Leaving it checks that nothing came to the canary."""
    sites = LinkSites()
    with contextlib.ExitStack() as servers:
        media, *canaries = servers.enter_context(_sockets_on_one_port())
        sites.port = media.getsockname()[1]
        _serve(servers, media, sites.answer)
        for canary in canaries:
            _serve(servers, canary, lambda connection: sites.hits.append(str(connection.getsockname())))
        yield sites
    assert sites.hits == []


def _serve(servers: contextlib.ExitStack, listening: socket.socket, answer: object) -> None:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            answer(self.request)  # type: ignore[operator]

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(listening.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    servers.callback(server.server_close)
    servers.callback(server.shutdown)


@contextlib.contextmanager
def _sockets_on_one_port() -> Iterator[list[socket.socket]]:
    for _ in range(NUM_PORTS_TRIED):
        with contextlib.ExitStack() as opened:
            media = opened.enter_context(socket.create_server((MEDIA, 0)))
            sockets = [media]
            try:
                for address in CANARIES:
                    sockets += _listening(opened, address, media.getsockname()[1])
            except OSError:  # another program has the port
                continue
            opened.pop_all()
            yield sockets
            return
    raise OSError(f"no port was free on all of {MEDIA}, {', '.join(CANARIES)}")


def _listening(opened: contextlib.ExitStack, address: str, port: int) -> list[socket.socket]:
    """None on a machine without IPv6."""
    if ":" not in address:
        return [opened.enter_context(socket.create_server((address, port)))]
    try:
        return [opened.enter_context(socket.create_server((address, port), family=socket.AF_INET6))]
    except OSError:
        return []


def ok(body: bytes, headers: str = "") -> list[bytes]:
    return [f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body]


def redirect(location: str) -> list[bytes]:
    return [f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()]


def drip(head: bytes) -> Iterator[bytes]:
    """One byte a second, for ever."""
    yield head
    while True:
        time.sleep(1)
        yield b"x"


def silence() -> Iterator[bytes]:
    """Longer than a client waits."""
    time.sleep(60)
    yield b""


def endless() -> Iterator[bytes]:
    return itertools.chain([b"HTTP/1.1 200 OK\r\n\r\n"], itertools.repeat(bytes(2**16)))
