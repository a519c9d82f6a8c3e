"""How fast a server is over HTTP: `python -m benchmarks.server`. See __main__.py."""
