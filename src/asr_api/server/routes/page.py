"""`GET /`: the page, which transcribes, plays and corrects recordings in a browser. Its files are in asr_api/page.

They are below an address that has the hash of them all, so browsers keep them until they change. Lines of comments,
a fifth of the scripts, are not sent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

PREFIX = "/page"
PHRASES = "phrases/"  # only those of one language are loaded
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
COMMENT_LINE = re.compile(r"^\s*(?://|/\*\*|\*(?: |/?$)).*\n", re.MULTILINE)
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
    contents = {path.relative_to(folder).as_posix(): _sent(path) for path in sorted(folder.rglob("*.*"))}
    html = contents.pop("index.html")
    digest = _digest({**contents, "": html})
    etag = f'"{digest}"'
    headers = {**SECURITY_HEADERS, "cache-control": "no-cache", "etag": etag}
    page = _with_addresses(html, contents, digest)

    def show_page(request: Request) -> Response:
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return HTMLResponse(page, headers=headers)

    def send_file(request: Request) -> Response:
        content = contents.get(request.path_params["name"])
        if content is None:
            raise HTTPException(404)
        media_type = MEDIA_TYPES[Path(request.path_params["name"]).suffix]
        kept = {**SECURITY_HEADERS, "cache-control": "public, max-age=31536000, immutable"}
        return Response(content, media_type=media_type, headers=kept)

    compressed = [Middleware(GZipMiddleware)]
    return [
        Route("/", show_page, middleware=compressed),
        Route(f"{PREFIX}/{digest}/{{name:path}}", send_file, middleware=compressed),
    ]


def _sent(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return COMMENT_LINE.sub("", text) if path.suffix == ".js" else text


def _digest(contents: Mapping[str, str]) -> str:
    """Of names and contents, short."""
    joined = "\0".join(f"{name}\0{content}" for name, content in contents.items())
    return hashlib.sha256(joined.encode()).hexdigest()[:12]


def _with_addresses(html: str, contents: Mapping[str, str], digest: str) -> str:
    """Relative ones, so that the page also works below a path of a proxy."""
    scripts = [name for name in contents if name.endswith(".js") and not name.startswith(PHRASES)]
    preloads = "\n".join(f'<link rel="modulepreload" href="page/{name}">' for name in scripts)
    return html.replace("<!-- modules -->", preloads).replace('="page/', f'="page/{digest}/')
