"""Log-mel for training: other vocal tracts move frequencies about, and never past each other."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")


def test_a_warp_keeps_the_order_of_frequencies_and_the_first_changes_nothing() -> None:
    from training.logmel import N_BINS, NUM_WARPS, all_warps

    warps = torch.from_numpy(all_warps())
    assert warps.shape == (NUM_WARPS, N_BINS)
    assert bool((warps[0] == 1).all())
    frequencies = warps * torch.arange(N_BINS)
    assert bool((frequencies.diff(dim=1) > 0).all())
    assert bool((warps > 0.7).all() and (warps < 1.4).all())


def test_each_window_is_heard_through_its_own_vocal_tract() -> None:
    from training.logmel import LogMel

    log_mel, pcm = LogMel(torch.device("cpu")), torch.randn(1, 16_000).repeat(3, 1)
    plain, longer, bent = log_mel(pcm, torch.tensor([0, 1, 20]))
    assert torch.equal(plain, log_mel(pcm[:1])[0])
    assert len({float(heard.sum()) for heard in (plain, longer, bent)}) == 3


def test_a_ripple_makes_one_sound_louder_and_leaves_the_others() -> None:
    from training.logmel import RIPPLE_BANDS, RIPPLE_SAMPLES, LogMel

    log_mel, pcm = LogMel(torch.device("cpu")), 0.1 * torch.randn(1, 20 * RIPPLE_SAMPLES)
    ripples = torch.zeros(1, RIPPLE_BANDS, 21)
    assert torch.equal(log_mel(pcm, ripples=ripples), log_mel(pcm))
    ripples[0, 5, 10] = -10.0
    change = log_mel(pcm, ripples=ripples)[0] - log_mel(pcm)[0]
    band, frame = divmod(int(change.argmin()), change.shape[1])
    assert change.min() == pytest.approx(-10 / 10 / 4, rel=0.1)  # the deepest place is nearly at a knot
    assert abs(band - 79 * 5 / 9) < 2
    assert abs(frame - 120) < 3
    assert (change == 0).float().mean() > 0.95
