"""Muon: updates of one size in all directions, as torch's own gives, in the device's quick arithmetic."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")


def test_singular_values_come_near_to_one() -> None:
    from training.muon import orthogonal

    torch.manual_seed(1)
    for shape in ((3, 12, 40), (3, 40, 12)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.min() > 0.6
        assert values.max() < 1.3


def test_it_steps_as_torchs_own_does() -> None:
    from training.muon import Muon

    torch.manual_seed(1)
    shapes = ((16, 16), (16, 24), (24, 16), (16, 24))
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [torch.nn.Parameter(matrix.detach().clone()) for matrix in ours]
    optimizer = Muon(ours, weight_decay=0.05)
    reference = torch.optim.Muon(theirs, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for matrix, other in zip(ours, theirs, strict=True):
            matrix.grad = torch.randn_like(matrix)
            other.grad = matrix.grad.clone()
        optimizer.step()
        reference.step()
    for matrix, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(matrix, other, atol=4e-5, rtol=0)  # a step moves a weight by 2e-4, in bfloat16
    Muon(ours, weight_decay=0.0).load_state_dict(reference.state_dict())
