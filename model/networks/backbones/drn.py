"""DRN: dilated residual networks without gridding."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import torch
from timm.models import adapt_input_conv
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from model.networks.backbones.backbone import Backbone, Pretrained

Block = type[BasicBlock] | type[Bottleneck]
LAYERS: dict[str, tuple[Block, tuple[int, int, int, int]]] = {
    "drn_d_22": (BasicBlock, (2, 2, 2, 2)),
    "drn_d_38": (BasicBlock, (3, 4, 6, 3)),
    "drn_d_54": (Bottleneck, (3, 4, 6, 3)),
    "drn_d_105": (Bottleneck, (3, 4, 23, 3)),
}
"""Name -> residual block and how many of it layers 3 to 6 have."""


class DRN(Backbone):
    """DRN-D, layers named as in the authors' files.

    ``forward``: (N, bands, rows, cols) -> low (N, 256, rows/4, cols/4) from layer3 (64 channels in DRN-D-22 and -38),
    high (N, 512, rows/8, cols/8) from layer8.

    Parameters
    ----------
    pretrained : the authors' file of ImageNet weights; timm's hub has none

    Raises
    ------
    ValueError
        for ``pretrained`` True.

    Source
    ------
    Yu, Koltun and Funkhouser (2017), Dilated residual networks, section 4 and figure 5 (DRN-D: no max pooling, no
    residual connections in the last two layers, which take the grid of the dilated ones away).
    """

    names: ClassVar = tuple(LAYERS)
    strides: ClassVar = (8,)

    def __init__(self, name: str, pretrained: Pretrained = False, bands: int = 3, output_stride: int = 8) -> None:
        super().__init__()
        if pretrained is True:
            raise ValueError(f"timm's hub has no weights of {name}: give the file with its authors' ImageNet weights")
        self.output_stride = output_stride
        block, (third, fourth, fifth, sixth) = LAYERS[name]
        wide = block.expansion
        layers = nn.Sequential(
            OrderedDict(
                layer0=plain(bands, 16, kernel=7),
                layer1=plain(16, 16),
                layer2=plain(16, 32, stride=2),
                layer3=residual(block, 32, 64, third, stride=2),
                layer4=residual(block, 64 * wide, 128, fourth, stride=2),
                layer5=residual(block, 128 * wide, 256, fifth, dilation=2),
                layer6=residual(block, 256 * wide, 512, sixth, dilation=4),
                layer7=plain(512 * wide, 512, dilation=2),
                layer8=plain(512, 512),
            )
        )
        for module in layers.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if pretrained:
            layers.load_state_dict(authors_weights(Path(pretrained), bands))
        self.stem, self.fine, self.coarse = layers[:3], layers[3], layers[4:]
        self.channels = (64 * wide, 512)


def authors_weights(path: Path, bands: int) -> dict[str, Tensor]:
    """The authors' file without its classifier; over other than three bands the first filters are repeated."""
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    first = "layer0.0.weight"
    if first in state:
        state[first] = adapt_input_conv(bands, state[first])
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def plain(channels: int, width: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU: (N, channels, r, c) -> (N, width, r/stride, c/stride)."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride, padding, dilation, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


def residual(block: Block, channels: int, planes: int, count: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Residual blocks: (N, channels, r, c) -> (N, planes * expansion, r/stride, c/stride)."""
    width = planes * block.expansion
    shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
    first = block(channels, planes, stride, shortcut, dilation=dilation)
    return nn.Sequential(first, *(block(width, planes, dilation=dilation) for _ in range(count - 1)))
