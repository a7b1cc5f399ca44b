"""The compact U-Net: bands, sizes, weights, export."""

from __future__ import annotations

import pytest
import torch

from model.networks import create_network
from model.networks.backbones.efficientnet import LITE0_BATCH_NORM_EPSILON, efficientnet_lite0_imagenet
from model.networks.costs import network_costs
from tests.model import network_checks as checks


@pytest.fixture(scope="module")
def small():
    return checks.network("unet-compact", context_dropout=0.0, dropout=0.0)


def test_loss_falls_on_one_batch(small) -> None:
    found = checks.losses(small)
    assert found[-1] < found[0]


def test_exported_network_agrees(small, tmp_path) -> None:
    card = checks.exported(checks.settled(small), tmp_path / "unet-compact")
    assert card.bands == ("red", "green", "blue")
    assert checks.disagreement(small, card) < 1e-4


def test_it_is_small() -> None:
    costs = network_costs("unet-compact")
    assert costs.parameters == pytest.approx(0.9e6, rel=0.05)
    assert costs.gmac < 2


@pytest.mark.parametrize("size", [(64, 96), (100, 133), (17, 31)])
def test_any_number_of_rows_and_columns(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        assert create_network("unet-compact", checks.statistics(3)).eval()(torch.empty(2, 3, *size)).shape == (2, 1, *size)


def test_pretrained_filters_and_their_arithmetic_for_any_bands() -> None:
    imagenet = efficientnet_lite0_imagenet()
    bands = ("red", "green", "blue", "nir")
    network = create_network("unet-compact", checks.statistics(4), bands=bands, pretrained=True)
    body = network.encoder.body
    assert body.conv_stem.weight.shape[1] == 4
    assert torch.equal(body.blocks[4][2].conv_pwl.weight, imagenet["blocks.4.2.conv_pwl.weight"])
    for made in (network, create_network("unet-compact", checks.statistics(4), bands=bands)):
        assert made.encoder.body.bn1.eps == LITE0_BATCH_NORM_EPSILON
