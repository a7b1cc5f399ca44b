"""SegNet: pooling that remembers, unpooling that puts back."""

from __future__ import annotations

import pytest
import timm
import torch
from torch.nn import functional

from model.networks import create_network
from model.networks.segnet import pool, unpool
from tests.model import network_checks as checks


@pytest.fixture(scope="module")
def small():
    return checks.network("segnet", backbone="vgg11_bn", bands=("red", "nir", "slope"))


def test_loss_falls_on_one_batch(small) -> None:
    found = checks.losses(small)
    assert found[-1] < found[0]


def test_exported_network_agrees(small, tmp_path) -> None:
    card = checks.exported(checks.settled(small), tmp_path / "segnet")
    assert card.bands == ("red", "nir", "slope")
    assert checks.disagreement(small, card) < 1e-4


def test_pooling_and_unpooling_are_torchs() -> None:
    features = torch.randn(2, 3, 8, 6)
    ours, place = pool(features)
    theirs, index = functional.max_pool2d(features, 2, return_indices=True)
    assert torch.equal(ours, theirs)
    assert torch.equal(unpool(ours, place), functional.max_unpool2d(theirs, index, 2))


def test_of_equal_pixels_the_first_gets_the_value() -> None:
    values, place = pool(torch.zeros(1, 1, 2, 2))
    assert torch.equal(unpool(values + 5, place), torch.tensor([[[[5.0, 0.0], [0.0, 0.0]]]]))


def test_papers_segnet() -> None:
    with torch.device("meta"):
        network = create_network("segnet", checks.statistics(6)).eval()
        assert network(torch.empty(2, 6, 100, 133)).shape == (2, 1, 100, 133)
    assert [len(stage) // 3 for stage in network.encoder] == [2, 2, 3, 3, 3]
    assert [len(stage) for stage in network.decoder] == [3, 3, 3, 2, 2]
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(29.5, abs=0.1)


def test_pretrained_encoder_of_a_local_file(tmp_path) -> None:
    imagenet = timm.create_model("vgg11_bn")
    torch.save(imagenet.state_dict(), tmp_path / "imagenet.pth")
    network = create_network(
        "segnet", checks.statistics(3), bands=("red", "green", "blue"), backbone="vgg11_bn", pretrained=tmp_path / "imagenet.pth"
    )
    assert torch.equal(network.encoder[0][0].weight, imagenet.features[0].weight)


def test_other_backbones_are_refused() -> None:
    with pytest.raises(ValueError, match="VGG"):
        create_network("segnet", checks.statistics(6), backbone="resnet50")
