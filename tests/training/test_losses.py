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


def test_what_is_heard_like_the_teacher_costs_nothing_and_what_is_unlike_its_share_of_the_variance() -> None:
    from training.losses import distance_loss

    taught = torch.randn(4, 50, 8)
    assert float(distance_loss(taught, taught)) == 0
    mean = taught.mean((0, 1)).expand_as(taught)
    assert float(distance_loss(mean, taught)) == pytest.approx(1, rel=0.02)


def test_the_distance_from_a_teacher_counts_beside_the_other_losses() -> None:
    from training.losses import TAUGHT_WEIGHT, Losses

    token, other = torch.tensor(2.0), torch.tensor(0.0)
    assert float(Losses(token, other, other).total(0.5)) == 2
    taught = Losses(token, other, other, torch.tensor(0.1))
    assert float(taught.total(0.5)) == pytest.approx(2 + 0.1 * TAUGHT_WEIGHT)
    assert set(taught.values()) == {"token", "character", "guide", "distance"}
    assert "distance" not in Losses(token, other, other).values()


def test_what_a_taught_models_decoder_learns_leaves_the_encoder_alone() -> None:
    from training.model import ModelSize, Whisper

    size = ModelSize(n_vocab=60, first_timestamp=40, n_state=32, n_head=2, n_encoder_layers=1, n_decoder_layers=1)
    for is_taught in (False, True):
        model = Whisper(size)
        tokens = torch.zeros(1, 3, dtype=torch.long)
        _, logits, _ = model(torch.randn(1, size.n_mels, 100), tokens, tokens == 0, is_taught=is_taught)
        logits.pow(2).sum().backward()
        assert (model.model.encoder.conv1.weight.grad is None) == is_taught
        assert model.model.decoder.embed_tokens.weight.grad is not None
