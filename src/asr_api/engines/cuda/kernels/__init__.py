"""Triton kernels of a decode step: layer norm, self- and cross-attention, sampling.

The file of an op has its kernel, the function that launches it on any tensors (also in Triton's interpreter), and the
function that the engine calls, which launches the kernel or runs the reference op. All can be captured in a CUDA graph:
nothing synchronises with the host, no shape depends on data, and an inactive row costs next to nothing.
"""
