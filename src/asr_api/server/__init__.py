"""Floor 5: the HTTP server."""
