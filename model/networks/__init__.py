"""Networks by name. A name stands for a family and its options; any option can be overridden.

A family is a subclass of :class:`Network` in a file of its own, listed in ``FAMILIES``; its ``variants`` are the names.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from jobs import STACK_BANDS
from model.networks.cdnet import CDNet as CDNet
from model.networks.compactunet import CompactUNet as CompactUNet
from model.networks.dednet import DEDNet as DEDNet
from model.networks.deeplabv3plus import DeepLabV3Plus as DeepLabV3Plus
from model.networks.dualpyramid import DualPyramid as DualPyramid
from model.networks.msnet import MSNet as MSNet
from model.networks.network import BandStatistics as BandStatistics
from model.networks.network import Network as Network
from model.networks.random_forest import RandomForest as RandomForest
from model.networks.segnet import SegNet as SegNet
from model.networks.unet import UNet as UNet

FAMILIES: tuple[type[Any], ...] = (DEDNet, CDNet, MSNet, DeepLabV3Plus, UNet, CompactUNet, SegNet, RandomForest, DualPyramid)
NETWORKS: dict[str, tuple[type[Any], Any]] = {name: (family, options) for family in FAMILIES for name, options in family.variants.items()}
"""Name -> family and options."""


def create_network(
    name: str, statistics: BandStatistics, *, pretrained: bool | str | Path = False, weights: str | Path | None = None, **options: Any
) -> Network:
    """A network by name.

    Parameters
    ----------
    name : one of ``NETWORKS``
    statistics : minimum, maximum and mean of the training samples, for each band of the network
    pretrained : start from the backbone's ImageNet weights: True from timm's hub (needs the internet) or an installed
        package, or the file that holds them, named as in timm
    weights : file with a state of the whole network, as training writes it; read without running any code in it
    **options : fields of the family's options that differ from the named network's

    Raises
    ------
    ValueError
        for an unknown name, or an option that is impossible.
    """
    family, named = find_network(name)
    network: Network = family(dataclasses.replace(named, **options), statistics, False if weights is not None else pretrained)
    if weights is not None:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network


def network_bands(name: str, **options: Any) -> tuple[str, ...]:
    """The bands that a network will read, in order: what statistics and samples it needs.

    Raises
    ------
    ValueError
        for an unknown name.
    """
    _, named = find_network(name)
    return tuple(getattr(dataclasses.replace(named, **options), "bands", STACK_BANDS))


def find_network(name: str) -> tuple[type[Any], Any]:
    """Family and options of a name.

    Raises
    ------
    ValueError
        for an unknown one.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; known are {', '.join(NETWORKS)}")
    return NETWORKS[name]
