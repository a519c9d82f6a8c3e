"""Whisper on a graphics card: torch, explicit caches, CUDA graphs. Runs on a processor, too, slowly, to be tested."""
