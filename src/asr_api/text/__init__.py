"""Floor 1: languages and word splitting; no audio, no models."""
