"""Floor 1: from token ids to a transcript. Knows nothing about audio or models."""
