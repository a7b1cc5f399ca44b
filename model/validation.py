"""What is chosen and counted on validation samples when a network is trained: temperature, threshold, scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from engine.probability_accuracy import DEFINITIONS, Tally, best, calibration, figures, sweep, sweep_thresholds
from engine.reporting import Reporter
from engine.sample_files import ROCK_GLACIER
from engine.terminal import plain
from model.calibration import fit_temperature
from model.loading import Array, CountedBatches
from model.networks import Network
from model.trained_network import HALF

PIXELS_TO_CALIBRATE_ON = 2_000_000
HOW = {
    "validation": "the samples of the split validation, each pixel once, as the training saw them after each epoch: unchanged (modern) or "
    "their middle, resized (paper). The epoch, the threshold and the temperature were chosen on these samples, which flatters the figures",
    "threshold": "the one of 0.01 to 0.99 with the highest IoU of rock glacier, after the temperature",
    "temperature": "by which logits are divided so that the cross entropy is lowest (Guo et al. 2017); 1 where it was not fitted",
    **DEFINITIONS,
}


@dataclass(frozen=True)
class Choice:
    """``threshold`` and ``temperature`` of a network, and its ``scores`` with their definitions; None without validation samples."""

    threshold: float = HALF
    temperature: float = 1.0
    scores: dict[str, Any] | None = None


@torch.no_grad()
def choose(network: Network, validation: CountedBatches, device: str, reporter: Reporter) -> Choice:
    """Choose temperature and threshold on validation samples, and count how good the network is with them.

    Parameters
    ----------
    network : in evaluation mode; it is on ``device`` only meanwhile
    """
    network.to(device)
    try:
        pixels, positive = _counted(validation)
        if not pixels:
            return Choice()
        is_both = 0 < positive < pixels
        temperature = fit_temperature(network, _thinned(validation, min(1.0, PIXELS_TO_CALIBRATE_ON / pixels))) if is_both else 1.0
        thresholds = sweep_thresholds(HALF)
        tally = Tally.nothing(thresholds)
        for number in range(len(validation)):
            reporter.check_cancelled()
            stack, truth, weight = validation[number]
            logit = network(torch.from_numpy(stack).to(device)).float().cpu()
            probability = torch.sigmoid(logit / temperature).numpy()
            tally += Tally.of(probability, (truth * ROCK_GLACIER).astype(np.uint8), weight > 0, thresholds)
    finally:
        network.to("cpu")
    rows = sweep(tally)
    threshold = _highest(rows) if positive else HALF
    scores = {"validation": {"threshold": threshold, "temperature": temperature, **figures(tally, threshold)}}
    return Choice(threshold, temperature, plain({**scores, "sweep": rows, "calibration": calibration(tally), "definitions": HOW}))


def _highest(rows: list[dict[str, float | None]]) -> float:
    """The threshold of the highest IoU, the middle one of equal ones."""
    found = best(rows)
    if found is None:
        return HALF
    equal = [float(row["threshold"] or HALF) for row in rows if row["iou"] == found["iou"]]
    return equal[len(equal) // 2]


def _counted(validation: CountedBatches) -> tuple[int, int]:
    """Pixels that count, and those of them that are rock glacier."""
    pixels = positive = 0
    for number in range(len(validation)):
        _, truth, weight = validation[number]
        pixels += int((weight > 0).sum())
        positive += int(truth[weight > 0].sum())
    return pixels, positive


def _thinned(validation: CountedBatches, share: float) -> Iterator[tuple[Array, Array, Array]]:
    """The same with a random share of the pixels that count."""
    for number in range(len(validation)):
        stack, truth, weight = validation[number]
        yield stack, truth, weight * (np.random.default_rng(number).random(weight.shape) < share)
