"""Temperature scaling: probabilities that say how often they are right, without changing what is marked at 0.5."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import nn

from engine.errors import EngineError
from model.losses import cross_entropy

Array = NDArray
SMALLEST, LARGEST = 0.05, 20.0


@torch.no_grad()
def fit_temperature(network: nn.Module, batches: Iterable[tuple[Array, Array, Array]]) -> float:
    """The temperature by which a trained network's logits are to be divided.

    It is the one with the lowest cross entropy on samples that the network was not trained on; above 1 the network was too sure of
    itself. :func:`model.export.write_model_folder` stores it in the exported network.

    Parameters
    ----------
    batches : stack (N, bands, rows, cols), truth and weight (N, 1, rows, cols) of held-back samples

    Returns
    -------
    0.05-20

    Raises
    ------
    EngineError
        ``no_held_back_samples`` when no pixel counts.

    Source
    ------
    Guo et al. (2017), On calibration of modern neural networks, section 4.2.
    """
    network.eval()
    device = next(network.parameters(), torch.empty(0)).device
    logits, truths = [], []
    for batch in batches:
        stack, truth, weight = (torch.as_tensor(array) for array in batch)
        counts = weight > 0
        logits.append(network(stack.to(device)).cpu()[counts])
        truths.append(truth[counts])
    if not sum(len(truth) for truth in truths):
        raise EngineError(
            "no_held_back_samples", "There are no held-back samples to calibrate the network on. Hold some back for validation."
        )
    logit, truth = torch.cat(logits).double(), torch.cat(truths).double()
    weight = torch.ones_like(truth)
    found = minimize_scalar(
        lambda logarithm: float(cross_entropy(logit / math.exp(logarithm), truth, weight)),
        bounds=(math.log(SMALLEST), math.log(LARGEST)),
        method="bounded",
    )
    return math.exp(found.x)
