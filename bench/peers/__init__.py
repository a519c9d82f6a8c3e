"""Our server beside its peers on this machine's processor: `python -m bench.peers`. See README.md."""
