"""Routers of the HTTP app, one per file."""
