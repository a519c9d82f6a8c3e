"""Floor 3: one bounded, fair queue of windows in front of each engine."""
