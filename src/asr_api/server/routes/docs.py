"""`GET /docs`: Swagger UI from files on this machine, so that it works without a network and under a strict CSP."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, HTMLResponse

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


def docs_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    assets = files("fastapi_offline") / "static"

    @router.get("/docs")
    async def show_page() -> HTMLResponse:
        return HTMLResponse(PAGE, headers={"content-security-policy": CSP})

    @router.get("/docs/start.js")
    async def start_page() -> Response:
        return Response(START, media_type="text/javascript")

    @router.get("/docs/swagger-ui.css")
    async def style_page() -> FileResponse:
        return FileResponse(str(assets / "swagger-ui.css"))

    @router.get("/docs/swagger-ui-bundle.js")
    async def script_page() -> FileResponse:
        return FileResponse(str(assets / "swagger-ui-bundle.js"), media_type="text/javascript")

    return router
