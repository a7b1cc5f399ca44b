"""MSNet (Tao et al. 2022), one of the networks that Lin et al. (2024) compare DEDNet with."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from model.networks.backbones import Pretrained
from model.networks.deeplab import enlarge
from model.networks.encoders import Encoder, padded
from model.networks.network import BandStatistics, Network

COARSEST_STRIDE = 64


@dataclass(frozen=True)
class MSNetOptions:
    """Sizes of the network.

    Parameters
    ----------
    backbone : of both branches, of timm, with features at 1/2, 1/4, 1/8, 1/16 and 1/32
    widths : channels of a branch's decoder at 1/32, 1/16, 1/8, 1/4 and 1/2
    pyramid_width : channels of each level of the feature pyramid
    """

    backbone: str = "resnet50"
    widths: tuple[int, ...] = (256, 128, 64, 32, 16)
    pyramid_width: int = 32


class MSNet(Network):
    """Two U-shaped branches, true colour and near-infrared with indices, and one feature pyramid over both.

    ``forward``: stack (N, 6, rows, cols) of red, green, blue, nir, evi, savi, NaN where not observed -> logit (N, 1, rows, cols).
    The branches' maps of the same resolution are concatenated: 256 at 1/16, 128 at 1/8, 64 at 1/4, 32 at 1/2.

    Parameters
    ----------
    options : sizes
    statistics : of the training samples, for the normalisation
    pretrained : both branches; see :class:`model.networks.encoders.Encoder`

    Source
    ------
    Tao et al. (2022), MSNet, GIScience & Remote Sensing 59, 1177-1198; made anew from its description. The last enlargement is
    bilinear instead of bicubic, which onnxruntime computes differently on CPU and GPU.
    """

    options: MSNetOptions
    variants: ClassVar = {"msnet": MSNetOptions()}

    def __init__(self, options: MSNetOptions, statistics: BandStatistics, pretrained: Pretrained = False) -> None:
        super().__init__(options, statistics)
        self.true_colour = Branch(options.backbone, options.widths, pretrained)
        self.spectral = Branch(options.backbone, options.widths, pretrained)
        self.pyramid = Pyramid([2 * width for width in options.widths[1:]], options.pyramid_width)
        self.head = nn.Conv2d(options.pyramid_width, 1, 3, padding=1)

    def forward(self, stack: Tensor) -> Tensor:
        rows, cols = stack.shape[-2:]
        bands = padded(self.normalise(stack), COARSEST_STRIDE)
        true_colour, spectral = bands.split(3, dim=1)
        maps = [torch.cat(both, dim=1) for both in zip(self.true_colour(true_colour), self.spectral(spectral), strict=True)]
        logit = self.head(enlarge(self.pyramid(maps), bands, align_corners=True))
        return logit[..., :rows, :cols]


class Branch(nn.Module):
    """U-shaped: (N, 3, rows, cols) -> maps at 1/16, 1/8, 1/4 and 1/2; rows and columns multiples of 64."""

    def __init__(self, backbone: str, widths: tuple[int, ...], pretrained: Pretrained) -> None:
        super().__init__()
        self.encoder = Encoder(backbone, 3, pretrained)
        coarsest, *skips = reversed(self.encoder.channels[1:])
        entering = [coarsest, *(wide + skip for wide, skip in zip(widths, (coarsest, *skips), strict=False))]
        self.decoder = nn.ModuleList(shuffled_convolution(wide, narrow) for wide, narrow in zip(entering, widths, strict=True))

    def forward(self, bands: Tensor) -> list[Tensor]:
        _, *features = self.encoder(bands)
        up = self.decoder[0](maxima(features[-1]))
        maps = []
        for block, skip in zip(self.decoder[1:], reversed(features), strict=True):
            up = block(torch.cat([up, skip], dim=1))
            maps.append(up)
        return maps


def maxima(features: Tensor) -> Tensor:
    """Of 2 x 2 pixels each: (N, C, r, c) -> (N, C, r/2, c/2), even r and c. As max pooling, whose size torch's exporter cannot follow."""
    rows = torch.maximum(features[..., ::2, :], features[..., 1::2, :])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def shuffled_convolution(channels: int, width: int) -> nn.Sequential:
    """3 x 3 convolution to four times the width, whose channels become the pixels of twice the resolution."""
    return nn.Sequential(nn.Conv2d(channels, 4 * width, 3, padding=1, bias=False), nn.BatchNorm2d(4 * width), nn.ReLU(), nn.PixelShuffle(2))


class Pyramid(nn.Module):
    """Feature pyramid: maps of several resolutions, the coarsest first -> one (N, width, rows, cols) at the finest.

    Source
    ------
    Lin et al. (2017), Feature pyramid networks.
    """

    def __init__(self, channels: list[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(wide, width, 1) for wide in channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        self.fuse = nn.Sequential(nn.Conv2d(len(channels) * width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, maps: list[Tensor]) -> Tensor:
        levels = [lateral(features) for lateral, features in zip(self.lateral, maps, strict=True)]
        for coarse, fine in pairwise(range(len(levels))):
            levels[fine] = levels[fine] + enlarge(levels[coarse], levels[fine], align_corners=True)
        smooth = [convolution(level) for convolution, level in zip(self.smooth, levels, strict=True)]
        fused: Tensor = self.fuse(torch.cat([enlarge(level, smooth[-1], align_corners=True) for level in smooth], dim=1))
        return fused
