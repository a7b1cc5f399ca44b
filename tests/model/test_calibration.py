"""Temperature scaling finds the temperature that was put in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from engine.errors import EngineError
from model.calibration import fit_temperature


class TooSure(nn.Module):
    """Says logits three times as large as the truth was drawn with."""

    def forward(self, stack: torch.Tensor) -> torch.Tensor:
        return 3 * stack[:, :1]


def held_back(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth drawn with the probability whose logit is the first band."""
    rng = np.random.default_rng(seed)
    stack = rng.normal(0, 2, (2, 2, 64, 64)).astype(np.float32)
    truth = (rng.random((2, 1, 64, 64)) < 1 / (1 + np.exp(-stack[:, :1]))).astype(np.float32)
    return stack, truth, np.ones_like(truth)


def test_temperature_is_found() -> None:
    assert fit_temperature(TooSure(), [held_back(1), held_back(2)]) == pytest.approx(3, rel=0.05)


def test_pixels_that_do_not_count_are_left_out() -> None:
    stack, truth, weight = held_back()
    truth[1], weight[1] = 1 - truth[1], 0
    assert fit_temperature(TooSure(), [(stack, truth, weight)]) == pytest.approx(3, rel=0.1)


def test_without_held_back_samples_it_refuses() -> None:
    stack, truth, weight = held_back()
    for batches in ([], [(stack, truth, np.zeros_like(weight))]):
        with pytest.raises(EngineError) as refused:
            fit_temperature(TooSure(), batches)
        assert refused.value.code == "no_held_back_samples"
