"""Training ends with what went wrong, wherever it went wrong."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from training.batches import BatchMaker

torch = pytest.importorskip("torch")


class Broken:
    """Makes no batch."""

    def batch(self, *_: object) -> None:
        """Fails as a maker does that lacks clips."""
        raise ValueError("no clips")


def test_what_goes_wrong_in_making_a_batch_is_raised_where_it_is_waited_for() -> None:
    from training.model import ModelSize, Whisper
    from training.train import Feeder, Recipe, Run
    from training.workers import Team

    size = ModelSize(n_vocab=60, first_timestamp=40, n_state=32, n_head=2, n_encoder_layers=1, n_decoder_layers=1)
    run = Run(Whisper(size), averaged={}, optimizers=[])
    feeder = Feeder(cast("BatchMaker", Broken()), run, Recipe(steps=10), Team())
    raised: list[str] = []

    def wait() -> None:
        try:
            feeder.next(0.0)
        except ValueError as error:
            raised.append(str(error))

    waiting = Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(timeout=20)
    assert raised == ["no clips"], "it would have waited for ever"
