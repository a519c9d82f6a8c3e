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
<title>asr-api</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
START = """SwaggerUIBundle({ url: "openapi.json", dom_id: "#docs", validatorUrl: null });\n"""
CSP = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def docs_routes() -> list[BaseRoute]:
    return [
        Route("/docs", lambda _: HTMLResponse(PAGE, headers={"content-security-policy": CSP})),
        Route("/docs/start.js", lambda _: Response(START, media_type="text/javascript")),
        Mount("/docs", StaticFiles(packages=[("fastapi_offline", "static")])),
    ]
