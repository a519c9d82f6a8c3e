"""Benchmark of this server and other Whisper engines on a CPU: `python -m benchmarks.peers`; see README.md."""
