"""Floor 1: from a transcript to the body of a reply. Knows nothing about HTTP."""
