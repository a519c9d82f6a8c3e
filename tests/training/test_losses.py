"""What training makes small is smallest where it should be, and blind to what is not to be learned."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")


def test_a_text_token_costs_its_cross_entropy_and_a_timestamp_may_be_a_little_off() -> None:
    from training.losses import NEIGHBOUR_SHARE, token_loss

    logits = torch.randn(3, 20)
    text = torch.tensor([1, 5, 9])
    expected = torch.nn.functional.cross_entropy(logits, text)
    assert token_loss(logits, text, first_timestamp=10) == pytest.approx(float(expected))
    near, far = (torch.zeros(1, 20).index_fill(1, torch.tensor([at]), 5.0) for at in (13, 16))
    stamp = torch.tensor([14])
    gain = token_loss(far, stamp, first_timestamp=10) - token_loss(near, stamp, first_timestamp=10)
    assert float(gain) == pytest.approx(5 * NEIGHBOUR_SHARE)


def test_a_head_that_looks_evenly_at_all_of_a_word_is_right() -> None:
    from training.losses import guide_loss

    spans = torch.tensor([[[2, 5], [-1, -1]]])  # of the first token; the second is not guided
    even, narrow, beside = torch.zeros(3, 1, 1, 2, 10)
    even[..., 0, 2:6], narrow[..., 0, 2], beside[..., 0, 7:9] = 0.25, 1, 0.5
    losses = [float(guide_loss([looks], spans)) for looks in (even, narrow, beside)]
    assert losses[0] == pytest.approx(0, abs=1e-4)
    assert 1 < losses[1] < losses[2]
    even[..., 1, :] = torch.rand(10)
    assert float(guide_loss([even], spans)) == pytest.approx(losses[0])


def test_where_a_time_is_only_roughly_known_a_head_may_look_anywhere_inside() -> None:
    from training.losses import MAX_EXACT_POSITIONS, guide_loss

    spans = torch.tensor([[[0, MAX_EXACT_POSITIONS]]])
    narrow = torch.zeros(1, 1, 1, 100).index_fill(3, torch.tensor([7]), 1.0)
    assert float(guide_loss([narrow], spans)) == pytest.approx(0, abs=2e-3)
    assert float(guide_loss([narrow], torch.full((1, 1, 2), -1))) == 0
