"""U-Net: feature sets, sizes, weights."""

from __future__ import annotations

import pytest
import timm
import torch

from model.networks import create_network
from model.networks.bands import FEATURE_SETS
from tests.model import network_checks as checks


@pytest.fixture(scope="module")
def small():
    return checks.network("unet", backbone="resnet18", bands=FEATURE_SETS["optical+dem+sar"])


def test_loss_falls_on_one_batch(small) -> None:
    found = checks.losses(small)
    assert found[-1] < found[0]


def test_exported_network_agrees(small, tmp_path) -> None:
    card = checks.exported(checks.settled(small), tmp_path / "unet")
    assert card.bands == FEATURE_SETS["optical+dem+sar"]
    assert card.bands[6:] == ("elevation", "slope", "sar_co", "sar_cross", "coherence")
    assert set(card.document["normalisation"]["mean"]) == set(card.bands)
    assert checks.disagreement(small, card) < 1e-4


@pytest.mark.parametrize("features", FEATURE_SETS)
def test_feature_sets(features: str) -> None:
    bands = FEATURE_SETS[features]
    with torch.device("meta"):
        network = create_network("unet", checks.statistics(len(bands)), bands=bands).eval()
        assert network.bands == bands
        assert network(torch.empty(1, len(bands), 64, 64)).shape == (1, 1, 64, 64)


@pytest.mark.parametrize("size", [(64, 96), (100, 133), (17, 31)])
def test_any_number_of_rows_and_columns(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        assert create_network("unet", checks.statistics(6)).eval()(torch.empty(2, 6, *size)).shape == (2, 1, *size)


def test_pretrained_filters_are_repeated_over_the_bands(tmp_path) -> None:
    imagenet = timm.create_model("resnet18")
    torch.save(imagenet.state_dict(), tmp_path / "imagenet.pth")
    network = create_network("unet", checks.statistics(6), backbone="resnet18", pretrained=tmp_path / "imagenet.pth")
    assert torch.allclose(network.encoder.body.conv1.weight, imagenet.conv1.weight.repeat(1, 2, 1, 1) / 2)
    assert torch.equal(network.encoder.body.layer4[1].conv2.weight, imagenet.layer4[1].conv2.weight)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"backbone": "convnextv2_atto"}, "1/2 to 1/32"),
        ({"backbone": "no_such"}, "unknown backbone"),
        ({"bands": ("red",)}, "statistics of 6"),
    ],
)
def test_impossible_options_are_refused(options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        create_network("unet", checks.statistics(6), **options)
