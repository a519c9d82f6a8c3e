"""Middleware of the HTTP app, outermost first: request scope, traces, access log, early reply, errors, limits, keys."""
