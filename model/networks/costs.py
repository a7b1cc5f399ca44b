"""What networks cost: parameters and multiplications, counted without computing anything."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from model.networks import BandStatistics, create_network, network_bands
from model.networks.backbones import Backbone
from model.networks.network import parameter_count

TILE_PX = 352
"""The side of a tile in Lin et al. (2024)."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Costs:
    """Of one tile.

    ``parameters`` trained values; ``gmac`` 10^9 multiplications with addition; ``low``, ``high`` shapes of the backbone's
    low-level and high-level features, empty for networks that are not built on one.
    """

    parameters: int
    gmac: float
    low: Shape
    high: Shape


@functools.cache
def network_costs(name: str, tile_px: int = TILE_PX, **options: Any) -> Costs:
    """Costs of a network by name; ``options`` as of :func:`create_network`.

    Raises
    ------
    ValueError
        for an unknown name or impossible options, and for a network that is no neural one.
    """
    bands = len(network_bands(name, **options))
    features: list[Shape] = []
    with torch.device("meta"):
        network = create_network(name, BandStatistics((0.0,) * bands, (1.0,) * bands, (0.5,) * bands), **options).eval()
        if not parameter_count(network):
            raise ValueError(f"{name} is no neural network")
        for module in network.modules():
            if isinstance(module, Backbone):
                module.register_forward_hook(lambda _, __, output: features.extend(tuple(level.shape[1:]) for level in output))
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, bands, tile_px, tile_px))
    low, high = features[:2] or ((), ())
    return Costs(parameter_count(network), counter.get_total_flops() / 2e9, low, high)
