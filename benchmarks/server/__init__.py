"""Benchmark of a server over HTTP: `python -m benchmarks.server`; see __main__.py."""
