"""Whisper on an NVIDIA GPU in PyTorch: continuous batching, CUDA graphs and Triton kernels; runs on a CPU for tests."""
