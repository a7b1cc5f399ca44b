"""What a network says of a tile whichever way it lies: the mean over the eight symmetries of the square.

A network that was trained on little says one thing of a tile and another of its mirror image; the mean is right more often. It needs no
training, no weights, and eight times the time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

VIEWS = 8
LARGEST_LOGIT = 8.0
"""One view that is utterly sure does not outvote the others."""


def seen(network: nn.Module, stack: Tensor, views: int = VIEWS) -> Tensor:
    """Logit (N, 1, rows, cols) of a stack (N, bands, rows, cols), seen once (``views`` 1) or in all eight ways (8)."""
    if views == 1:
        return network(stack).float()
    return (_mirrored(network, stack) + _mirrored(network, stack.transpose(2, 3)).transpose(2, 3)) / 2


def _mirrored(network: nn.Module, stack: Tensor) -> Tensor:
    """The mean over a stack and its three mirror images, which go through the network together."""
    samples, _, rows, columns = stack.shape
    ways: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))
    logits = network(torch.cat([stack.flip(way) if way else stack for way in ways])).float().clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
    each = logits.reshape(len(ways), samples, 1, rows, columns)
    return torch.stack([each[i].flip(way) if way else each[i] for i, way in enumerate(ways)]).mean(dim=0)
