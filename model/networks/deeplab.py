"""The parts of DeepLabV3+ (Chen et al. 2018): atrous pooling of high-level features, decoder with low-level ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks.backbones import Backbone, Pretrained, create_backbone


@dataclass(frozen=True)
class DeepLabOptions:
    """What Lin et al. (2024) leave open of DeepLabV3+, and its sizes.

    Parameters
    ----------
    backbone : a name of ``model.networks.backbones.BACKBONES``
    output_stride : of the high-level features; 4 for HRNets
    fuse_upsampling : between an HRNet's branches, ``nearest`` or ``bilinear``
    input_batch_norm : batch norm of the normalised bands, so that pretrained filters meet the contrast they know
    atrous_rates : dilation of the 3 x 3 convolutions of the atrous pooling, in pixels of the high-level features
    aspp_width, aspp_dropout : channels and dropout of its output
    image_pooling : whether the atrous pooling has a branch that sees the mean of the whole tile
    low_width : channels to which low-level features are reduced before the decoder
    decoder_convolutions, decoder_width, decoder_dropout : 3 x 3 convolutions of the decoder, dropout after each
    align_corners : of all bilinear interpolations
    """

    backbone: str = "hrnet_w48"
    output_stride: int = 4
    fuse_upsampling: str = "nearest"
    input_batch_norm: bool = False
    atrous_rates: tuple[int, ...] = (12, 24, 36)
    aspp_width: int = 256
    aspp_dropout: float = 0.1
    image_pooling: bool = True
    low_width: int = 48
    decoder_convolutions: int = 2
    decoder_width: int = 256
    decoder_dropout: float = 0.1
    align_corners: bool = False

    def __post_init__(self) -> None:
        if self.fuse_upsampling not in ("nearest", "bilinear"):
            raise ValueError(f"fuse_upsampling is nearest or bilinear, not {self.fuse_upsampling!r}")

    def encoder(self, pretrained: Pretrained, bands: int = 3) -> Backbone:
        """The backbone: (N, bands, r, c) -> low-level and high-level features."""
        return create_backbone(
            self.backbone,
            pretrained=pretrained,
            output_stride=self.output_stride,
            fuse_upsampling=self.fuse_upsampling,
            align_corners=self.align_corners,
            bands=bands,
        )

    def input_norm(self, bands: int = 3) -> nn.Module:
        """What the normalised bands pass before the encoder."""
        return nn.BatchNorm2d(bands) if self.input_batch_norm else nn.Identity()

    def aspp(self, channels: int) -> nn.Module:
        """(N, channels, r, c) -> (N, aspp_width, r, c)."""
        return AtrousPooling(channels, self.aspp_width, self.atrous_rates, self.aspp_dropout, self.image_pooling)

    def reduce_low(self, channels: int) -> nn.Module:
        """(N, channels, r, c) -> (N, low_width, r, c)."""
        return convolution(channels, self.low_width, 1)

    def decoder(self, channels: int) -> nn.Module:
        """(N, channels, r, c) -> logit (N, 1, r, c)."""
        widths = [channels, *([self.decoder_width] * self.decoder_convolutions)]
        return nn.Sequential(
            *(
                nn.Sequential(convolution(wide, narrow, 3), nn.Dropout(self.decoder_dropout))
                for wide, narrow in zip(widths, widths[1:], strict=False)
            ),
            nn.Conv2d(widths[-1], 1, 1),
        )


OUTPUT_STRIDE_16: dict[str, Any] = {"output_stride": 16, "atrous_rates": (6, 12, 18)}
COMPACT: dict[str, Any] = {
    "backbone": "efficientnet_lite0",
    "output_stride": 8,
    "input_batch_norm": True,
    "atrous_rates": (2, 4, 6),
    "aspp_width": 128,
    "low_width": 32,
    "decoder_width": 96,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "hrnet-w48": {},
    "hrnet-w32": {"backbone": "hrnet_w32"},
    "hrnet-w18": {"backbone": "hrnet_w18"},
    "resnet50": {"backbone": "resnet50", **OUTPUT_STRIDE_16},
    "resnet101": {"backbone": "resnet101", **OUTPUT_STRIDE_16},
    "drn": {"backbone": "drn_d_54", "output_stride": 8},
    "xception": {"backbone": "xception65", **OUTPUT_STRIDE_16},
    "vit": {"backbone": "vit_base", **OUTPUT_STRIDE_16},
    "compact": COMPACT,
}
"""Name -> options, the same for all networks after DeepLabV3+. Atrous rates are 6, 12, 18 at output stride 16 and twice as wide at
finer ones, as in DeepLabV3 (Chen et al. 2017, section 3.3)."""


class AtrousPooling(nn.Module):
    """Atrous spatial pyramid pooling: (N, channels, r, c) -> (N, width, r, c).

    Source
    ------
    Chen et al. (2018), DeepLabV3+, section 3.1.
    """

    def __init__(self, channels: int, width: int, rates: Sequence[int], dropout: float, image_pooling: bool) -> None:
        super().__init__()
        self.views = nn.ModuleList([convolution(channels, width, 1), *(convolution(channels, width, 3, rate) for rate in rates)])
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), convolution(channels, width, 1)) if image_pooling else None
        views = len(self.views) + image_pooling
        self.project = nn.Sequential(convolution(views * width, width, 1), nn.Dropout(dropout))

    def forward(self, features: Tensor) -> Tensor:
        views = [view(features) for view in self.views]
        if self.whole is not None:
            views.append(self.whole(features).expand_as(views[0]))
        return self.project(torch.cat(views, dim=1))


def convolution(channels: int, width: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    """Convolution that keeps rows and columns, batch norm, ReLU: (N, channels, r, c) -> (N, width, r, c)."""
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def enlarge(features: Tensor, like: Tensor, align_corners: bool) -> Tensor:
    """Bilinear interpolation of (N, C, r, c) to the rows and columns of ``like``."""
    return functional.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=align_corners)
