"""Dialects: parameters, replies and errors of other speech-to-text APIs, each mapped to ours in files of its own."""
