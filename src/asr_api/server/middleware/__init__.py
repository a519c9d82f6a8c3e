"""Middleware of the HTTP app, outermost first: request scope, access log, early reply, errors, limits."""
