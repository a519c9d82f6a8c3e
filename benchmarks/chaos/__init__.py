"""Load and chaos for a server, and an account of every request: `python -m benchmarks.chaos`; see README.md."""
