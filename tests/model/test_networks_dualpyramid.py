"""The dual-encoder pyramid with its loss and its calibration."""

from __future__ import annotations

import pytest
import timm
import torch

from model.calibration import fit_temperature
from model.networks import NETWORKS, create_network
from tests.model import network_checks as checks

NAMES = [name for name in NETWORKS if name.startswith("dualpyramid")]


@pytest.fixture(scope="module")
def small():
    return checks.network("dualpyramid-convnextv2-atto", width=32)


def test_loss_falls_on_one_batch(small) -> None:
    found = checks.losses(small, loss="dice+cross_entropy+boundary")
    assert found[-1] < found[0]


def test_exported_network_agrees_and_is_calibrated(small, tmp_path) -> None:
    network = checks.settled(small)
    temperature = fit_temperature(network, [checks.batch(6)])
    card = checks.exported(network, tmp_path / "dualpyramid", temperature=temperature)
    assert card.document["calibration"]["temperature"] == pytest.approx(temperature, abs=1e-4)
    assert checks.disagreement(network, card, temperature) < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_rows_and_columns(name: str) -> None:
    with torch.device("meta"):
        network = create_network(name, checks.statistics(6)).eval()
        assert network(torch.empty(2, 6, 100, 133)).shape == (2, 1, 100, 133)


def test_blocks_fuse_at_every_resolution() -> None:
    with torch.device("meta"):
        network = create_network("dualpyramid-convnextv2-tiny", checks.statistics(6))
    assert [block.channels for block in network.blocks] == [96, 192, 384, 768]
    assert [block.shortcut for block in network.blocks] == [True, True, True, False]


def test_both_encoders_start_from_a_local_file(tmp_path) -> None:
    imagenet = timm.create_model("convnextv2_atto")
    torch.save(imagenet.state_dict(), tmp_path / "imagenet.pth")
    network = create_network("dualpyramid-convnextv2-atto", checks.statistics(6), pretrained=tmp_path / "imagenet.pth")
    for encoder in (network.true_colour_encoder, network.spectral_encoder):
        assert torch.equal(encoder.body.stem_0.weight, imagenet.stem[0].weight)
        assert torch.equal(encoder.body.stages_3.blocks[0].mlp.fc1.weight, imagenet.stages[3].blocks[0].mlp.fc1.weight)


def test_backbone_of_other_resolutions_is_refused() -> None:
    with pytest.raises(ValueError, match="1/4 to 1/32"):
        create_network("dualpyramid-convnextv2-tiny", checks.statistics(6), backbone="resnet18")
