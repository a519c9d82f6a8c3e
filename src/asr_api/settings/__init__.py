"""Floor 4: every setting, declared once."""
