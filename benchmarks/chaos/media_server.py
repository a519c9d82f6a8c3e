"""A media server on loopback for the links of the load: `/NUMBER/NAME` is a recording made unique by the number."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.chaos.http_requests import SHARED
from benchmarks.chaos.recordings import Recording


@contextmanager
def serving_media(recordings: Mapping[str, Recording]) -> Iterator[str]:
    """Its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number, _, name = self.path.strip("/").partition("/")
            recording = recordings[name]
            content = recording.content if int(number) == SHARED else recording.unique(int(number))
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except ConnectionError:  # the server's own client has left, or the server was killed
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """A line for each request would bury the report."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="chaos-media", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
