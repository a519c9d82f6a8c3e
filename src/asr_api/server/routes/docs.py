"""`GET /docs`: Swagger UI from files on this machine, so that it works without a network and under a strict CSP."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

# Links are relative to /docs, so that the page also works below a proxy's prefix.
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>asr-api: API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/docs.css">
<header><strong>asr-api</strong>{link}</header>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
LINK_TO_PAGE = '<a href="./">Transcribe in the browser</a>'
START = """\
document.documentElement.classList.toggle("dark-mode", matchMedia("(prefers-color-scheme: dark)").matches);
SwaggerUIBundle({ url: "openapi.json", dom_id: "#docs", validatorUrl: null });
"""
STYLE = """\
body { margin: 0; }
header { display: flex; gap: 1rem; align-items: center; padding: 0.9rem 1rem; border-bottom: 1px solid #8886; }
header, .swagger-ui, .swagger-ui .info .title { font-family: system-ui, sans-serif; }
header a { color: light-dark(#175a87, #7cc0ee); }
"""
CSP = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def docs_routes(*, has_page: bool) -> list[BaseRoute]:
    html = PAGE.format(link=LINK_TO_PAGE if has_page else "")
    return [
        Route("/docs", lambda _: HTMLResponse(html, headers={"content-security-policy": CSP})),
        Route("/docs/docs.css", lambda _: Response(STYLE, media_type="text/css")),
        Route("/docs/start.js", lambda _: Response(START, media_type="text/javascript")),
        Mount("/docs", StaticFiles(packages=[("fastapi_offline", "static")])),
    ]
