"""The format of trace contexts: W3C's. OpenTelemetry takes it from the environment, whatever `OTEL` is, when FastAPI is
imported; so it is set here, in the only package that touches the environment, and not in `tracing`.
"""

from __future__ import annotations

import os


def use_w3c_propagators() -> None:
    """To be called before FastAPI is imported: that fails for the name of a format that is not installed."""
    os.environ["OTEL_PROPAGATORS"] = "tracecontext"
