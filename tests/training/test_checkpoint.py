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


def test_a_run_of_the_encoder_alone_leaves_the_decoder_as_it_is(tmp_path: Path) -> None:
    from training.model import ModelSize, Whisper
    from training.train import Recipe, Run, save_run, start_run

    size = ModelSize(n_vocab=60, first_timestamp=40, n_state=32, n_head=2, n_encoder_layers=1, n_decoder_layers=1)
    adopted = Whisper(size)
    save_run(Run(adopted, dict(adopted.state_dict()), optimizers=[]), tmp_path)
    run = start_run(size, Recipe(encoder_only=True), tmp_path, torch.device("cpu"))
    learned = {id(p) for optimizer in run.optimizers for group in optimizer.param_groups for p in group["params"]}
    names = {name for name, p in run.model.named_parameters() if id(p) in learned}
    assert {name.split(".")[1] for name in names if name.startswith("model.")} == {"encoder"}
    assert names >= {"model.encoder.layers.0.fc1.weight", "characters.weight"}
    assert not any(name.startswith("timestamp_map") for name in names)
    save_run(run, tmp_path)
    start_run(size, Recipe(encoder_only=True), tmp_path, torch.device("cpu"))
    with pytest.raises(ValueError, match="go on with a --teacher only if it began with one"):
        start_run(size, Recipe(), tmp_path, torch.device("cpu"))
