"""What a decode step does beside matrix products: Triton kernels on a graphics card, else what reference_ops.py does.

Each file holds one kernel, the function that launches it on any tensors (Triton's interpreter included), and the
function of the engine, which takes the kernel or the twin. All can be captured: nothing asks the host, no shape depends
on data, and a row that is not active costs next to nothing.
"""
