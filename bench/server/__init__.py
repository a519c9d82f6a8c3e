"""How fast a server is over HTTP: `python -m bench.server`. See __main__.py."""
