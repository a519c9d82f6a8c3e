"""Decoder worker processes: a fork server and, for each media file, a sandboxed fork of it. The only user of PyAV."""
