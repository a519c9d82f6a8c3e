"""Voice activity detection: Silero's model, the probabilities of speech that it gives, and muting by them."""
