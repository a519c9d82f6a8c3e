"""A grown model: new layers change nothing at first, old ones keep their order."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")


def test_old_layers_spread_evenly_and_keep_both_ends() -> None:
    from training.grow import places

    assert places(4, 8) == [0, 2, 5, 7]
    assert places(3, 4) == [0, 2, 3]
    assert places(4, 4) == [0, 1, 2, 3]


def test_a_grown_model_says_what_the_old_one_said() -> None:
    from training.grow import grown
    from training.model import ModelSize, Whisper

    size = ModelSize(n_vocab=60, first_timestamp=40, n_state=32, n_head=2, n_encoder_layers=2, n_decoder_layers=2)
    old = Whisper(size).eval()
    new = grown(old, old.model.decoder.embed_tokens.weight.detach(), replace(size, n_encoder_layers=5)).eval()
    log_mel, tokens = torch.randn(2, 80, 40), torch.randint(0, 60, (2, 7))
    wanted = torch.ones(2, 7, dtype=torch.bool)
    with torch.inference_mode():
        (said, letters, _), (said_now, letters_now, _) = (m(log_mel, tokens, wanted) for m in (old, new))
    torch.testing.assert_close(said_now, said)
    torch.testing.assert_close(letters_now, letters)
    assert new.model.encoder.blocks[1].fc2.weight.abs().max() == 0
