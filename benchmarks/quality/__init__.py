"""Quality bench on real speech: errors of this server and other Whisper systems: `python -m benchmarks.quality`."""
