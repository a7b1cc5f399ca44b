"""DeepLabV3+: Xception-71 on 8-bit true colour, and any other encoder."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from engine.sample_chips import TRUE_COLOUR_SATURATION
from model.networks import create_network
from model.networks.deeplabv3plus import EightBit
from tests.model import network_checks as checks

RGB = ("red", "green", "blue")


@pytest.fixture(scope="module")
def small():
    """The network of Hu et al. with a small encoder, and without dropout, so that 64 pixels do."""
    return checks.network("deeplabv3plus-xception71", backbone="resnet18")


def test_loss_falls_on_one_batch(small) -> None:
    found = checks.losses(small)
    assert found[-1] < found[0]


def test_exported_network_agrees(small, tmp_path) -> None:
    card = checks.exported(checks.settled(small), tmp_path / "deeplabv3plus")
    assert card.bands == RGB
    assert card.document["normalisation"]["maximum"] == dict.fromkeys(RGB, pytest.approx(TRUE_COLOUR_SATURATION, abs=1e-4))
    assert checks.disagreement(small, card) < 1e-4


def test_reflectance_of_an_8_bit_picture_comes_back_as_its_numbers() -> None:
    numbers = torch.arange(256.0)
    reflectance = torch.cat([numbers / 255 * TRUE_COLOUR_SATURATION, torch.tensor([0.9, -0.1, torch.nan])]).reshape(1, 1, 1, -1)
    seen = EightBit(checks.statistics(1))(reflectance).flatten() * 255
    assert torch.equal(seen[:256].round(), numbers)
    assert seen[256:].tolist() == [255, 0, round(0.25 / TRUE_COLOUR_SATURATION * 255)]


def test_xception_71_of_hu_et_al() -> None:
    with torch.device("meta"):
        network = create_network("deeplabv3plus-xception71", checks.statistics(3)).eval()
        features = network.encoder(torch.empty(1, 3, 480, 480))
        assert [tuple(level.shape[1:]) for level in (features[1], features[-1])] == [(256, 120, 120), (2048, 30, 30)]
        assert network(torch.empty(1, 3, 470, 333)).shape == (1, 1, 470, 333)
        assert network.bands == RGB
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(43.5, abs=0.1)


@pytest.mark.parametrize("stride", [8, 16])
def test_output_stride(stride: int) -> None:
    with torch.device("meta"):
        network = create_network("deeplabv3plus", checks.statistics(6), output_stride=stride).eval()
        assert network.encoder(torch.empty(1, 6, 64, 64))[-1].shape[-1] == 64 // stride
        assert network(torch.empty(1, 6, 50, 70)).shape == (1, 1, 50, 70)


def test_pretrained_encoder_of_a_local_file(tmp_path) -> None:
    imagenet = timm.create_model("resnet18")
    torch.save(imagenet.state_dict(), tmp_path / "imagenet.pth")
    network = create_network("deeplabv3plus", checks.statistics(3), bands=RGB, backbone="resnet18", pretrained=tmp_path / "imagenet.pth")
    stack = torch.from_numpy(np.random.default_rng(1).random((1, 3, 64, 64), dtype=np.float32))
    imagenet.eval()
    with torch.no_grad():
        assert torch.equal(
            network.eval().encoder(stack)[1], imagenet.layer1(imagenet.maxpool(imagenet.act1(imagenet.bn1(imagenet.conv1(stack)))))
        )


def test_impossible_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="output stride 8 or 16"):
        create_network("deeplabv3plus", checks.statistics(6), output_stride=32)
