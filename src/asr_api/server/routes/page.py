"""`GET /`: the page, which transcribes, plays and corrects recordings in a browser. Its files are in asr_api/page.

They are below an address that has the hash of them all, so that browsers keep them until they change.
"""

from __future__ import annotations

import hashlib
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

PREFIX = "/page"
PHRASES = "phrases"  # folder; only those of one language are loaded
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
        "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
}


def page_routes() -> list[BaseRoute]:
    folder = Path(str(files("asr_api") / "page"))
    scripts = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.js") if path.parent.name != PHRASES
    )
    digest = _digest(folder)
    preloads = "\n".join(f'<link rel="modulepreload" href="page/{name}">' for name in scripts)
    html = (folder / "index.html").read_text(encoding="utf-8").replace("<!-- modules -->", preloads)
    html = html.replace('="page/', f'="page/{digest}/')  # relative, so that it also works below a proxy's prefix
    etag = f'"{digest}"'
    headers = {**SECURITY_HEADERS, "cache-control": "no-cache", "etag": etag}

    def show_page(request: Request) -> Response:
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return HTMLResponse(html, headers=headers)

    compressed = [Middleware(GZipMiddleware)]
    return [
        Route("/", show_page, middleware=compressed),
        Mount(f"{PREFIX}/{digest}", _PageFiles(directory=folder), middleware=compressed),
    ]


def _digest(folder: Path) -> str:
    """Of the names and contents of all files, short."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


class _PageFiles(StaticFiles):
    """The content of an address never changes."""

    def file_response(self, full_path: os.PathLike[str] | str, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(full_path, *arguments, **options)
        response.headers.update({**SECURITY_HEADERS, "cache-control": "public, max-age=31536000, immutable"})
        return response
