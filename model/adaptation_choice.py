"""Which of several networks, and at what threshold, does best on outlines that were held back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.probability_accuracy import Tally, best, figures, sweep, sweep_thresholds
from engine.sample_files import ROCK_GLACIER
from model.calibration import fit_temperature

NOISE = 0.03
"""Loss of IoU on what was held back that says nothing: few outlines, and each trial had fewer than the final training."""
TRUSTED = 4.0
"""Places whose outlines weigh as much as the temperature and the threshold that are expected without them."""


@dataclass(frozen=True)
class Said:
    """What a network said of samples that it was not trained on: ``logit`` (n,), ``truth`` (n,) 0 or 1, of pixels that count."""

    logit: NDArray[np.float32]
    truth: NDArray[np.float32]

    def tally(self, temperature: float, threshold: float) -> Tally:
        """Counted at all thresholds of the sweep and at this one."""
        probability = (1 / (1 + np.exp(-np.clip(self.logit.astype(np.float64) / temperature, -30, 30)))).astype(np.float32)
        mask = (self.truth * ROCK_GLACIER).astype(np.uint8)
        return Tally.of(probability, mask, np.ones(mask.shape, bool), sweep_thresholds(threshold))

    def figures(self, temperature: float, threshold: float) -> dict[str, Any]:
        """See :func:`engine.probability_accuracy.figures`."""
        return figures(self.tally(temperature, threshold), threshold)

    def iou(self, temperature: float, threshold: float) -> float:
        """Of rock glacier; 0 where it is not defined."""
        return float(self.figures(temperature, threshold)["rock_glacier"]["iou"] or 0.0)

    def highest_iou(self) -> float:
        """At the best threshold of the sweep; 0 where nothing was marked rightly."""
        row = best(sweep(self.tally(1.0, 0.5)))
        return float(row["iou"] or 0.0) if row else 0.0


def together(parts: Sequence[Said]) -> Said:
    """The pixels of several."""
    return Said(np.concatenate([part.logit for part in parts]), np.concatenate([part.truth for part in parts]))


@dataclass(frozen=True)
class Calibrated:
    """``temperature`` and ``threshold`` for a network, and the ``iou`` of what it said with them, 0 where nothing was asked."""

    temperature: float
    threshold: float
    iou: float = 0.0


def calibrated(said: Said, expected: Calibrated, places: int) -> Calibrated:
    """Temperature and threshold for what was said of samples of some places.

    They lie between ``expected`` and what is best for what was said, the nearer to the latter the more places there are: few places tell
    little, and what was said of them was said by a network that had seen fewer than the final one.
    """
    logit, truth = torch.from_numpy(said.logit), torch.from_numpy(said.truth)
    fitted = fit_temperature(nn.Identity(), [(logit, truth, torch.ones_like(truth))])  # type: ignore[list-item]
    row = best(sweep(said.tally(fitted, 0.5)))
    if row is None:
        return Calibrated(expected.temperature, expected.threshold, said.iou(expected.temperature, expected.threshold))
    trust = places / (places + TRUSTED)
    temperature = fitted**trust * expected.temperature ** (1 - trust)
    wanted = trust * fitted * _logit(float(row["threshold"] or 0.5)) + (1 - trust) * expected.temperature * _logit(expected.threshold)
    threshold = round(min(max(_probability(wanted / temperature), 0.01), 0.99), 3)
    return Calibrated(temperature, threshold, said.iou(temperature, threshold))


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
