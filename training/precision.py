"""Which arithmetic a device is quick in. Knows nothing about models."""

from __future__ import annotations

import torch


def quick_dtype(device: torch.device) -> torch.dtype:
    """bfloat16, or float32 on a CPU without instructions for it, where bfloat16 is ten times slower."""
    if device.type != "cpu":
        return torch.bfloat16
    can = torch.cpu.get_capabilities()
    return torch.bfloat16 if can.get("amx_bf16") or can.get("avx512_bf16") else torch.float32
