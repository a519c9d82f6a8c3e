"""Several checkpoints of a run make one model: the mean of their averaged weights."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


def test_the_mean_of_checkpoints_counts_the_steps_of_the_latest(tmp_path: Path) -> None:
    from training.checkpoint import averaged_model
    from training.model import ModelSize
    from training.train import Recipe, save_run, start_run

    size = ModelSize(n_vocab=60, first_timestamp=40, n_state=32, n_head=2, n_encoder_layers=1, n_decoder_layers=1)
    paths = []
    for step, value in ((500, 1.0), (250, 4.0)):
        run = start_run(size, Recipe(), tmp_path, torch.device("cpu"))
        run.averaged = {name: torch.full_like(weight, value) for name, weight in run.averaged.items()}
        run.step, run.seconds = step, 60.0 * step
        save_run(run, tmp_path, f"step{step}.pt")
        paths.append(tmp_path / f"step{step}.pt")
    model, steps, minutes = averaged_model(paths)
    assert (steps, minutes) == (500, 500.0)
    assert not model.training
    assert all(bool((weight == 2.5).all()) for weight in model.state_dict().values())
    assert {float(weight.mean()) for weight in averaged_model(paths[1:])[0].state_dict().values()} == {4.0}
    assert not (tmp_path / "checkpoint.part").exists()


def test_the_last_kept_are_the_last_by_their_steps(tmp_path: Path) -> None:
    from training.checkpoint import last_checkpoints

    assert last_checkpoints(tmp_path, 8) == [tmp_path / "checkpoint.pt"]
    for step in (500, 1000, 9500, 10_000):
        (tmp_path / f"step{step}.pt").touch()
    assert last_checkpoints(tmp_path, 0) == [tmp_path / "checkpoint.pt"]
    assert last_checkpoints(tmp_path, 2) == [tmp_path / "step9500.pt", tmp_path / "step10000.pt"]
    assert len(last_checkpoints(tmp_path, 8)) == 4


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_decoder_learns_at_its_share_of_the_rate(tmp_path: Path, share: float) -> None:
    from training.model import ModelSize, Whisper
    from training.train import Recipe, Run, save_run, start_run, train_step
    from training.workers import Team

    size = ModelSize(n_vocab=60, first_timestamp=40, n_state=32, n_head=2, n_encoder_layers=1, n_decoder_layers=1)
    adopted = Whisper(size)
    save_run(Run(adopted, dict(adopted.state_dict()), optimizers=[]), tmp_path)
    recipe = Recipe(steps=10, decoder_share=share, warm_up_steps=1, weight_decay=0.0)
    run = start_run(size, recipe, tmp_path, torch.device("cpu"))
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    train_step(run, sum(p.pow(3).sum() for p in run.model.parameters() if p.requires_grad), recipe, Team(), 0.0)
    moves = {name: float((p.detach() - before[name]).abs().mean()) for name, p in run.model.named_parameters()}
    of_encoder, of_decoder = (moves[f"model.{part}.layers.0.fc1.weight"] for part in ("encoder", "decoder"))
    assert of_encoder > 0
    assert of_decoder == pytest.approx(share * of_encoder, rel=0.1)
    assert (moves["timestamp_map.weight"] == 0) == (share == 0)
    save_run(run, tmp_path)
    start_run(size, recipe, tmp_path, torch.device("cpu"))
