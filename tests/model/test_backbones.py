"""Backbones: features, and ImageNet weights from files."""

from __future__ import annotations

import pickle

import pytest
import timm
import torch
from torch import nn

from model.networks.backbones import BACKBONES, create_backbone
from model.networks.backbones.backbone import timm_network
from model.networks.network import parameter_count


@pytest.mark.parametrize(
    ("name", "stride", "low", "high", "millions"),
    [
        ("hrnet_w48", 4, (256, 88, 88), (720, 88, 88), 65.3),
        ("hrnet_w18_small_v2", 4, (256, 88, 88), (270, 88, 88), 3.9),
        ("resnet50", 16, (256, 88, 88), (2048, 22, 22), 23.5),
        ("resnet101", 8, (256, 88, 88), (2048, 44, 44), 42.5),
        ("resnet18", 32, (64, 88, 88), (512, 11, 11), 11.2),
        ("drn_d_54", 8, (256, 88, 88), (512, 44, 44), 35.3),
        ("drn_d_105", 8, (256, 88, 88), (512, 44, 44), 54.3),
        ("xception65", 16, (128, 88, 88), (2048, 22, 22), 37.9),
        ("xception71", 8, (128, 88, 88), (2048, 44, 44), 39.8),
        ("vit_base", 16, (256, 88, 88), (768, 22, 22), 86.8),
        ("efficientnet_lite0", 16, (24, 88, 88), (112, 22, 22), 0.7),
    ],
)
def test_features_and_size_at_352_px(name: str, stride: int, low: tuple, high: tuple, millions: float) -> None:
    """The published sizes of ResNet, DRN and ViT, without their classifiers."""
    with torch.device("meta"):
        backbone = create_backbone(name, output_stride=stride).eval()
        shapes = [tuple(features.shape[1:]) for features in backbone(torch.empty(1, 3, 352, 352))]
    assert shapes == [low, high]
    assert backbone.channels == (low[0], high[0])
    assert parameter_count(backbone) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize("name", BACKBONES)
def test_any_size_any_bands_any_stride(name: str) -> None:
    for stride in BACKBONES[name].strides:
        with torch.device("meta"):
            backbone = create_backbone(name, output_stride=stride, bands=5).eval()
            for rows, cols in ((64, 96), (61, 67), (17, 31)):
                low, high = backbone(torch.empty(2, 5, rows, cols))
                assert low.shape[2:] == (-(-rows // 4), -(-cols // 4))
                assert high.shape[2:] == (-(-rows // stride), -(-cols // stride))


SMALL = [("resnet18", "resnet18", 32), ("xception41", "xception41", 32), ("vit_tiny", "vit_tiny_patch16_224", 16)]


@pytest.mark.parametrize(("name", "timms", "stride"), SMALL)
def test_weights_from_a_file_give_the_features_of_timms_network(name: str, timms: str, stride: int, tmp_path) -> None:
    whole = timm.create_model(timms).eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    backbone = create_backbone(name, pretrained=tmp_path / "weights.pth", output_stride=stride).eval()
    bands = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        expected = whole.forward_features(bands)
        if expected.ndim == 3:
            expected = expected[:, 1:].transpose(1, 2).reshape(1, -1, 14, 14)
        assert torch.allclose(backbone(bands)[1], expected, atol=1e-4, rtol=1e-4)


def test_hrnet_weights_from_a_file(tmp_path) -> None:
    whole = timm.create_model("hrnet_w18_small")
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    backbone = create_backbone("hrnet_w18_small", pretrained=str(tmp_path / "weights.pth"), output_stride=4)
    assert torch.equal(backbone.fine[0].conv2.weight, whole.layer1[0].conv2.weight)
    assert torch.equal(backbone.coarse.body.stage4[0].branches[3][0].conv1.weight, whole.stage4[0].branches[3][0].conv1.weight)


@pytest.mark.parametrize("name", ["resnet18", "drn_d_22", "vit_tiny", "efficientnet_lite0", "hrnet_w18_small"])
def test_weights_of_another_network_are_refused(name: str, tmp_path) -> None:
    torch.save(timm.create_model("resnet26").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(RuntimeError, match="state_dict"):
        create_backbone(name, pretrained=tmp_path / "weights.pth", output_stride=BACKBONES[name].strides[-1])


def test_a_feature_network_of_timm_takes_no_foreign_weights_either(tmp_path) -> None:
    torch.save(timm.create_model("resnet26").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(RuntimeError, match="state_dict"):
        timm_network("resnet18", tmp_path / "weights.pth", 3, features_only=True)


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple:
        return exec, ("raise AssertionError('the file ran code')",)


@pytest.mark.parametrize("name", ["resnet18", "drn_d_22", "efficientnet_lite0"])
def test_a_file_of_weights_runs_no_code(name: str, tmp_path) -> None:
    torch.save({"conv1.weight": Code()}, tmp_path / "weights.pth")
    with pytest.raises((RuntimeError, pickle.UnpicklingError), match="(?i)weights.only"):
        create_backbone(name, pretrained=tmp_path / "weights.pth", output_stride=8)


def test_filters_of_three_bands_are_repeated_over_more(tmp_path) -> None:
    whole = timm.create_model("resnet18")
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    first = create_backbone("resnet18", pretrained=tmp_path / "weights.pth", output_stride=16, bands=6).stem[0].weight
    assert torch.allclose(first[:, :3], whole.conv1.weight / 2)
    assert torch.allclose(first[:, 3:], whole.conv1.weight / 2)


# DRN, which is no network of timm -------------------------------------------------------------------------------------


def authors_file(path) -> dict[str, torch.Tensor]:
    """A file as the authors of DRN publish theirs: layers in a row, and a classifier."""
    backbone = create_backbone("drn_d_22", output_stride=8)
    layers = [part for sequence in (backbone.stem, [backbone.fine], backbone.coarse) for part in sequence]
    state = {f"layer{number}.{name}": value for number, layer in enumerate(layers) for name, value in layer.state_dict().items()}
    torch.save({**state, "fc.weight": torch.zeros(1000, 512, 1, 1), "fc.bias": torch.zeros(1000)}, path)
    return state


@pytest.mark.parametrize("bands", [3, 6])
def test_drn_reads_its_authors_file(bands: int, tmp_path) -> None:
    state = authors_file(tmp_path / "drn_d_22.pth")
    assert {"layer0.0.weight", "layer2.1.running_mean", "layer4.0.downsample.0.weight", "layer8.0.weight"} <= set(state)
    backbone = create_backbone("drn_d_22", pretrained=tmp_path / "drn_d_22.pth", output_stride=8, bands=bands)
    assert torch.equal(backbone.fine[0].conv1.weight, state["layer3.0.conv1.weight"])
    assert torch.allclose(backbone.stem.layer0[0].weight.sum(1), state["layer0.0.weight"].sum(1), atol=1e-5)


def test_drn_has_no_weights_on_timms_hub() -> None:
    with pytest.raises(ValueError, match="authors"):
        create_backbone("drn_d_54", pretrained=True, output_stride=8)


def test_drn_dilates_instead_of_striding_and_ends_without_gridding() -> None:
    """Yu et al. (2017), figure 5: dilation doubles twice, then halves twice in layers without shortcut."""
    coarse = create_backbone("drn_d_54", output_stride=8).coarse
    dilations = [{c.dilation[0] for c in layer.modules() if isinstance(c, nn.Conv2d) and c.kernel_size[0] == 3} for layer in coarse]
    assert dilations == [{1}, {2}, {4}, {2}, {1}]
    assert [len([c for c in layer.modules() if isinstance(c, nn.Conv2d)]) for layer in coarse[3:]] == [1, 1]
