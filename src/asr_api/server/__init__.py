"""Floor 5: the HTTP edge. Knows the wire, and nothing about models."""
