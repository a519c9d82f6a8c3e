"""Floor 5: benchmark of this machine, this model and these settings; cli/bench.py prints its figures."""
