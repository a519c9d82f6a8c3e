"""Our server beside its peers on this machine's processor: `python -m benchmarks.peers`. See README.md."""
