"""Training: it learns, it stops on nonsense, and an interruption changes nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine.errors import EngineError
from model.losses import LOSSES, cross_entropy, dice_loss, tversky_loss
from model.networks import BandStatistics, create_network
from model.training import Training, TrainingSettings


class Blobs:
    """Batches whose truth is where the red band is bright; ``breaks_at`` a number stands for a kill at that step."""

    def __init__(self, breaks_at: int | None = None, spoilt_at: int | None = None, same: bool = False) -> None:
        self.breaks_at, self.spoilt_at, self.same = breaks_at, spoilt_at, same

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if number == self.breaks_at:
            raise KeyboardInterrupt
        rng = np.random.default_rng(0 if self.same else number)
        truth = np.kron(rng.random((4, 1, 4, 4)) < 0.3, np.ones((8, 8))).astype(np.float32)
        stack = rng.normal(0.2, 0.02, (4, 6, 32, 32)).astype(np.float32)
        stack[:, :1] += 0.5 * truth
        if number == self.spoilt_at:
            stack[:] = 1e38
        return stack, truth, np.ones_like(truth)


def small_network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(8, 1, 1))


def steps_in(folder: Path) -> list[int]:
    with open(folder / "log.csv", newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def test_dednet_learns_a_batch(tmp_path) -> None:
    torch.manual_seed(1)
    network = create_network("dednet-compact", BandStatistics((0.0,) * 6, (1.0,) * 6, (0.2,) * 6), pretrained=True)
    Training(network, Blobs(same=True), TrainingSettings(steps=12, learning_rate=3e-3, warm_up=0.0), tmp_path).run()
    with open(tmp_path / "log.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 12
    assert min(losses[-3:]) < 0.7 * losses[0]


def test_an_interrupted_training_ends_like_an_uninterrupted_one(tmp_path) -> None:
    settings = TrainingSettings(steps=9, checkpoint_steps=3)
    whole = Training(small_network(), Blobs(), settings, tmp_path / "whole")
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        Training(small_network(), Blobs(breaks_at=5), settings, tmp_path / "broken").run()
    again = Training(small_network(), Blobs(), settings, tmp_path / "broken")
    assert again.step == 3
    again.run()
    assert steps_in(tmp_path / "broken") == steps_in(tmp_path / "whole") == list(range(1, 10))
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name
        assert torch.equal(whole.average[name], again.average[name]), name


def test_rows_after_the_last_checkpoint_are_not_logged_twice(tmp_path) -> None:
    settings = TrainingSettings(steps=4, checkpoint_steps=2)
    with pytest.raises(KeyboardInterrupt):
        Training(small_network(), Blobs(breaks_at=3), settings, tmp_path).run()
    with open(tmp_path / "log.csv", "a", newline="") as file:
        file.write("3,1.0,0.75,1e-3,0.5\n4,1.")
    Training(small_network(), Blobs(), settings, tmp_path).run()
    assert steps_in(tmp_path) == [1, 2, 3, 4]


def test_a_finished_training_does_nothing_more(tmp_path) -> None:
    settings = TrainingSettings(steps=2)
    Training(small_network(), Blobs(), settings, tmp_path).run()
    Training(small_network(), Blobs(breaks_at=0), settings, tmp_path).run()
    assert steps_in(tmp_path) == [1, 2]


def test_minutes_end_a_training(tmp_path) -> None:
    training = Training(small_network(), Blobs(), TrainingSettings(minutes=0.0005), tmp_path)
    training.run()
    assert training.progress == 1
    assert training.seconds >= 0.03


def test_a_loss_that_is_no_number_stops_with_the_last_checkpoint_sound(tmp_path) -> None:
    network = small_network()
    training = Training(network, Blobs(spoilt_at=3), TrainingSettings(steps=9, checkpoint_steps=2), tmp_path)
    with pytest.raises(EngineError) as stopped:
        training.run()
    assert stopped.value.code == "loss_not_finite"
    assert "step 4" in stopped.value.text
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert kept["step"] == 2
    assert all(torch.isfinite(value).all() for value in kept["network"].values())


def test_another_training_in_the_folder_is_not_continued(tmp_path) -> None:
    Training(small_network(), Blobs(), TrainingSettings(steps=2), tmp_path).run()
    with pytest.raises(EngineError) as refused:
        Training(small_network(), Blobs(), TrainingSettings(steps=3), tmp_path)
    assert refused.value.code == "other_training"


@pytest.mark.parametrize("how_long", [{}, {"steps": 3, "minutes": 2.0}])
def test_either_steps_or_minutes(how_long) -> None:
    with pytest.raises(ValueError, match="either"):
        TrainingSettings(**how_long)


def pixels(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)


def test_dice_by_hand() -> None:
    """One pixel right, one wrongly marked, one missed; 1 is added above and below the line."""
    loss = dice_loss(pixels(40, 40, -40, -40), pixels(1, 0, 1, 0), pixels(1, 1, 1, 1))
    assert loss.item() == pytest.approx(1 - (1 + 1) / (1 + 0.5 + 0.5 + 1))


def test_tversky_minds_misses_more() -> None:
    missing = tversky_loss(pixels(-40, -40), pixels(1, 0), pixels(1, 1), missed=0.7)
    marking = tversky_loss(pixels(40, 40), pixels(1, 0), pixels(1, 1), missed=0.7)
    assert missing > marking


def test_cross_entropy_by_hand() -> None:
    assert cross_entropy(pixels(0, 0), pixels(1, 0), pixels(1, 1)).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize("name", LOSSES)
def test_what_has_no_weight_counts_in_no_loss(name) -> None:
    loss = LOSSES[name]
    weight = pixels(1, 1, 0)
    assert loss(pixels(2, -1, 30), pixels(1, 0, 0), weight) == loss(pixels(2, -1, -30), pixels(1, 0, 1), weight)


@pytest.mark.parametrize("name", LOSSES)
def test_a_right_answer_costs_nothing_and_gradients_are_finite(name) -> None:
    logit = pixels(40, -40, -40).requires_grad_()
    loss = LOSSES[name](logit, pixels(1, 0, 0), pixels(1, 1, 1))
    loss.backward()
    assert loss.item() < 1e-3
    assert torch.isfinite(logit.grad).all()
