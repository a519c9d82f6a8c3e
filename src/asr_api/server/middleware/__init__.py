"""Middleware of the HTTP app, outermost first: scope, traces, access log, CORS, early reply, errors, limits, keys."""
