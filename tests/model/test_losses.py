"""The boundary loss, by its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.losses import LOSSES, boundary_loss, signed_distance

SIDE = 16


def square(first: int, last: int) -> torch.Tensor:
    """(1, 1, 16, 16), a rock glacier of rows and columns ``first`` to ``last`` - 1."""
    truth = torch.zeros(1, 1, SIDE, SIDE)
    truth[..., first:last, first:last] = 1
    return truth


def sure(marked: torch.Tensor) -> torch.Tensor:
    """The logit that marks it without a doubt."""
    return marked * 80 - 40


def test_distance_is_that_to_the_outline_in_diagonals() -> None:
    distance = signed_distance(square(4, 12))[0, 0] * np.hypot(SIDE, SIDE)
    assert distance[8, :6].tolist() == pytest.approx([4, 3, 2, 1, 0, -1], abs=1e-5)
    assert distance[0, 0].item() == pytest.approx(np.hypot(4, 4))


def test_right_pixels_cost_nothing_and_wrong_ones_the_more_the_further_away() -> None:
    truth, weight = square(5, 11), torch.ones(1, 1, SIDE, SIDE)
    close, far = truth.clone(), truth.clone()
    close[..., 4, 8] = far[..., 0, 8] = 1
    costs = [boundary_loss(sure(marked), truth, weight).item() for marked in (truth, close, far)]
    assert costs[0] == pytest.approx(0, abs=1e-7)
    assert costs[2] == pytest.approx(5 * costs[1])
    assert costs[1] == pytest.approx(1 / np.hypot(SIDE, SIDE) / SIDE**2)


def test_missed_pixels_deep_inside_cost_more_than_those_at_the_outline() -> None:
    truth, weight = square(2, 14), torch.ones(1, 1, SIDE, SIDE)
    edge, core = truth.clone(), truth.clone()
    edge[..., 3, 8] = core[..., 7, 7] = 0
    assert boundary_loss(sure(core), truth, weight) > boundary_loss(sure(edge), truth, weight) > 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_samples_of_one_class_add_nothing(value: float) -> None:
    truth = torch.full((2, 1, SIDE, SIDE), value)
    assert not boundary_loss(torch.randn(2, 1, SIDE, SIDE), truth, torch.ones_like(truth)).item()


@pytest.mark.parametrize("name", LOSSES)
def test_pixels_of_weight_0_count_in_no_loss(name: str) -> None:
    truth, weight = square(5, 11), torch.ones(1, 1, SIDE, SIDE)
    weight[..., :3] = 0
    logit = torch.randn(1, 1, SIDE, SIDE, requires_grad=True)
    loss = LOSSES[name](logit, truth, weight)
    loss.backward()
    assert torch.isfinite(loss)
    assert not logit.grad[..., :3].any()
    assert logit.grad[..., 3:].any()
