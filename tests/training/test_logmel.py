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
