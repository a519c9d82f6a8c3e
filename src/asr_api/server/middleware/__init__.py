"""Middleware of the HTTP app, from the outside in: request scope, traces, log, CORS, early reply, errors, limits, keys."""
