"""Losses on logits. Pixels of weight 0 (not observed) count in none of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def dice_loss(logit: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """1 - Dice coefficient over the whole batch, 0-1.

    Parameters
    ----------
    logit : (N, 1, rows, cols)
    truth : (N, 1, rows, cols), 1 rock glacier, 0 background
    weight : (N, 1, rows, cols), 0 where not observed

    Source
    ------
    Milletari et al. (2016), V-Net; the loss of Lin et al. (2024), section 3.3.2. Over the batch, not per sample: a
    sample without rock glaciers has no Dice coefficient of its own.
    """
    return tversky_loss(logit, truth, weight, missed=0.5, focus=1.0)


def tversky_loss(logit: Tensor, truth: Tensor, weight: Tensor, missed: float = 0.6, focus: float = 0.75) -> Tensor:
    """Focal Tversky loss over the whole batch, 0-1; arguments as of :func:`dice_loss`.

    ``missed`` (0-1) is the weight of missed pixels against that of false ones (1 - missed); 0.5 and ``focus`` 1 give Dice.

    Source
    ------
    Abraham and Khan (2019), A novel focal Tversky loss function.
    """
    probability = torch.sigmoid(logit) * weight
    truth = truth * weight
    hit = (probability * truth).sum()
    miss = (truth - probability * truth).sum()
    false = (probability - probability * truth).sum()
    index = (hit + 1.0) / (hit + missed * miss + (1 - missed) * false + 1.0)
    return (1 - index).clamp_min(1e-7) ** focus


def cross_entropy(logit: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean binary cross entropy of the observed pixels; arguments as of :func:`dice_loss`."""
    each = functional.binary_cross_entropy_with_logits(logit, truth, reduction="none")
    return (each * weight).sum() / weight.sum().clamp_min(1.0)


def dice_and_cross_entropy(logit: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Dice loss plus cross entropy: Dice for the balance of the classes, cross entropy for steady gradients."""
    return dice_loss(logit, truth, weight) + cross_entropy(logit, truth, weight)


def tversky_and_cross_entropy(logit: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Focal Tversky loss plus cross entropy."""
    return tversky_loss(logit, truth, weight) + cross_entropy(logit, truth, weight)


def boundary_loss(logit: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean over the observed pixels of how far wrong ones lie from the true outline, in diagonals of the sample, 0-1.

    Arguments as of :func:`dice_loss`. A sample without rock glacier has no outline and adds nothing.

    Source
    ------
    Kervadec et al. (2019), Boundary loss for highly unbalanced segmentation, equation 5; less a constant, so that 0 is the best.
    """
    wrong = (torch.sigmoid(logit) - truth) * signed_distance(truth)
    return (wrong * weight).sum() / weight.sum().clamp_min(1.0)


def signed_distance(truth: Tensor) -> Tensor:
    """Distance from the outline in diagonals of the sample, negative inside, 0 in samples of one class; (N, 1, rows, cols) as ``truth``."""
    distances = []
    for mask in truth.cpu().numpy()[:, 0] > 0.5:
        outside = distance_transform_edt(~mask) if mask.any() and not mask.all() else np.zeros(mask.shape)
        inside = np.maximum(distance_transform_edt(mask) - 1, 0) if outside.any() else 0.0
        distances.append((outside - inside) / np.hypot(*mask.shape))
    return torch.from_numpy(np.stack(distances)[:, None]).to(truth)


def dice_cross_entropy_and_boundary(logit: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Dice loss plus cross entropy plus boundary loss: the region first, then its outline."""
    return dice_and_cross_entropy(logit, truth, weight) + boundary_loss(logit, truth, weight)


LOSSES: dict[str, Loss] = {
    "dice": dice_loss,
    "dice+cross_entropy": dice_and_cross_entropy,
    "dice+cross_entropy+boundary": dice_cross_entropy_and_boundary,
    "tversky": tversky_loss,
    "tversky+cross_entropy": tversky_and_cross_entropy,
}
