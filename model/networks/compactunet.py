"""A small U-Net for places of which there are few samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks.backbones import Pretrained
from model.networks.bands import FEATURE_SETS
from model.networks.deeplab import convolution, enlarge
from model.networks.encoders import Encoder
from model.networks.network import BandStatistics, Network

STAGES = 5
"""Of EfficientNet-Lite0; the two behind them hold three quarters of its weights and see at 1/32 of the resolution."""
MIDDLE, SPREAD = 0.35, 0.2
"""Of a normalised band in pictures of mountains: what the pretrained filters get is about 0, and 1 away from it."""
NEIGHBOURHOOD = 5
"""Pixels at 1/16, along the side, whose mean a pixel of the coarsest features sees."""


@dataclass(frozen=True)
class CompactUNetOptions:
    """What its design leaves open.

    Parameters
    ----------
    bands : names of the bands it reads
    widths : channels of the decoder at 1/8 and at 1/4
    dropout : share of the decoder's channels that are left out in training
    context_dropout : the same, of what is known of the whole tile
    """

    bands: tuple[str, ...] = FEATURE_SETS["rgb"]
    widths: tuple[int, int] = (64, 48)
    dropout: float = 0.1
    context_dropout: float = 0.2


class CompactUNet(Network):
    """EfficientNet-Lite0 up to 1/16, what surrounds a pixel, and a decoder that ends at 1/4.

    ``forward``: stack (N, bands, rows, cols), NaN where not observed -> logit (N, 1, rows, cols). Features of 24, 40, 112 channels at
    1/4, 1/8, 1/16; those at 1/16 get added what is known of their neighbourhood and of the whole tile.

    Parameters
    ----------
    options : what its design leaves open
    statistics : of the training samples, for the normalisation
    pretrained : see :class:`model.networks.encoders.Encoder`

    Source
    ------
    Ronneberger et al. (2015), U-Net; Tan and Le (2019), EfficientNet; Liu et al. (2015), ParseNet, features of the whole tile.
    """

    options: CompactUNetOptions
    variants: ClassVar = {"unet-compact": CompactUNetOptions()}

    def __init__(self, options: CompactUNetOptions, statistics: BandStatistics, pretrained: Pretrained = False) -> None:
        super().__init__(options, statistics, options.bands)
        self.encoder = Encoder("efficientnet_lite0", len(options.bands), pretrained, out_indices=(1, 2, 3))
        self.encoder.body.blocks = self.encoder.body.blocks[:STAGES]
        fine, middle, coarse = self.encoder.channels
        self.neighbourhood = nn.Sequential(
            nn.AvgPool2d(NEIGHBOURHOOD, 1, NEIGHBOURHOOD // 2, count_include_pad=False), convolution(coarse, coarse, 1)
        )
        self.tile = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(coarse, coarse, 1),
            nn.ReLU(),
            nn.Dropout(options.context_dropout),
            nn.Conv2d(coarse, coarse, 1),
        )
        wide, narrow = options.widths
        self.middle = nn.Sequential(convolution(coarse + middle, wide, 3), convolution(wide, wide, 3), nn.Dropout2d(options.dropout))
        self.fine = nn.Sequential(convolution(wide + fine, narrow, 3), nn.Dropout2d(options.dropout))
        self.head = nn.Conv2d(narrow, 1, 1)

    def forward(self, stack: Tensor) -> Tensor:
        fine, middle, coarse = self.encoder((self.normalise(stack) - MIDDLE) / SPREAD)
        coarse = coarse + self.neighbourhood(coarse)
        coarse = coarse + self.tile(coarse)
        middle = self.middle(torch.cat([enlarge(coarse, middle, False), middle], dim=1))
        fine = self.fine(torch.cat([enlarge(middle, fine, False), fine], dim=1))
        return functional.interpolate(self.head(fine), size=stack.shape[-2:], mode="bilinear", align_corners=False)
