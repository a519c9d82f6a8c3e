"""Floor 2: PCM window in, window transcript out. The heavy libraries live here and nowhere else."""
