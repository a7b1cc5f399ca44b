"""MSNet: two branches, one pyramid."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from model.networks import create_network
from model.networks.msnet import maxima
from tests.model import network_checks as checks


@pytest.fixture(scope="module")
def small():
    return checks.network("msnet", backbone="resnet18", widths=(64, 32, 16, 16, 8))


def test_loss_falls_on_one_batch(small) -> None:
    found = checks.losses(small)
    assert found[-1] < found[0]


def test_exported_network_agrees(small, tmp_path) -> None:
    card = checks.exported(checks.settled(small), tmp_path / "msnet")
    assert checks.disagreement(small, card) < 1e-4


def test_maps_of_both_branches_have_the_papers_channels() -> None:
    with torch.device("meta"):
        network = create_network("msnet", checks.statistics(6)).eval()
        maps = network.true_colour(torch.empty(1, 3, 128, 128))
        assert [tuple(level.shape[1:]) for level in maps] == [(128, 8, 8), (64, 16, 16), (32, 32, 32), (16, 64, 64)]
        assert [lateral.in_channels for lateral in network.pyramid.lateral] == [256, 128, 64, 32]
        assert network(torch.empty(2, 6, 100, 133)).shape == (2, 1, 100, 133)


def test_maxima_are_those_of_max_pooling() -> None:
    features = torch.randn(2, 3, 6, 4)
    assert torch.equal(maxima(features), functional.max_pool2d(features, 2))


def test_branches_share_no_weights() -> None:
    network = create_network("msnet", checks.statistics(6), backbone="resnet18", widths=(8, 8, 8, 8, 8))
    first = {id(parameter) for parameter in network.true_colour.parameters()}
    assert first.isdisjoint(id(parameter) for parameter in network.spectral.parameters())
