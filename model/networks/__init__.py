"""Networks by name. A name stands for a network and its options; any option can be overridden."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from model.networks.dednet import BandStatistics, DEDNet, DEDNetOptions

NETWORKS: dict[str, DEDNetOptions] = {
    "dednet-hrnet-w48": DEDNetOptions(backbone="hrnet_w48"),
    "dednet-hrnet-w32": DEDNetOptions(backbone="hrnet_w32"),
    "dednet-hrnet-w18": DEDNetOptions(backbone="hrnet_w18"),
    "dednet-compact": DEDNetOptions(
        backbone="efficientnet_lite0",
        output_stride=8,
        input_batch_norm=True,
        atrous_rates=(2, 4, 6),
        aspp_width=128,
        low_width=32,
        decoder_width=96,
    ),
}


def create_network(
    name: str, statistics: BandStatistics, *, pretrained: bool = False, weights: str | Path | None = None, **options: Any
) -> DEDNet:
    """A network by name.

    Parameters
    ----------
    name : one of ``NETWORKS``
    statistics : minimum, maximum and mean per band of the training samples
    pretrained : start from the backbone's ImageNet weights (HRNets: needs the internet)
    weights : file with a state of the whole network, as training writes it; read without running any code in it
    **options : fields of DEDNetOptions that differ from the named network's

    Raises
    ------
    ValueError
        for an unknown name, or an option that is impossible.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; known are {', '.join(NETWORKS)}")
    network = DEDNet(dataclasses.replace(NETWORKS[name], **options), statistics, pretrained and weights is None)
    if weights is not None:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network
