"""Floor 1: from a source to windows of PCM. Knows nothing about models or text."""
