"""The format of trace contexts, which OpenTelemetry reads from the environment when FastAPI is imported: W3C's."""

from __future__ import annotations

import os


def use_w3c_propagators() -> None:
    """To be called before FastAPI is imported: that fails for the name of a format that is not installed."""
    os.environ["OTEL_PROPAGATORS"] = "tracecontext"
