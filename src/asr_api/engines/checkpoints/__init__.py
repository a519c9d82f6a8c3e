"""Checkpoints: finding one (built-in, folder, cache, hub) and reading it (config, tensors, tokenizer files)."""
