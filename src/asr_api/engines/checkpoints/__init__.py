"""Checkpoints: finding one (built-in, folder, cache, hub) and reading it (configuration, tensors, tokenizer files)."""
