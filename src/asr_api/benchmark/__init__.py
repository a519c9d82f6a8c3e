"""Floor 5: how fast this machine, this model and these settings are. cli/bench.py prints what is measured here."""
