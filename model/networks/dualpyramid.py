"""Beyond the papers: two hierarchical encoders, DEDNet's blocks at every resolution, and a decoder that ends at half of the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from model.networks.backbones import Pretrained
from model.networks.dednet import FusionBlock
from model.networks.deeplab import AtrousPooling, convolution, enlarge
from model.networks.encoders import Encoder, padded
from model.networks.network import BandStatistics, Network


@dataclass(frozen=True)
class DualPyramidOptions:
    """Sizes of the network.

    Parameters
    ----------
    backbone : of both encoders, of timm, with features at 1/4, 1/8, 1/16 and 1/32: ``convnextv2_tiny``, ``convnextv2_atto`` and their
        sisters, or a hierarchical transformer, ``pvt_v2_b2``, ``caformer_s18``
    width : channels of the decoder
    atrous_rates : of the atrous pooling, in pixels of 1/32
    detail_width : channels of the features at 1/2 that come from the bands themselves
    dropout : of atrous pooling and head
    """

    backbone: str = "convnextv2_tiny"
    width: int = 192
    atrous_rates: tuple[int, ...] = (1, 2, 4)
    detail_width: int = 32
    dropout: float = 0.1


class DualPyramid(Network):
    """Dual-encoder, pyramid-decoder network.

    ``forward``: stack (N, 6, rows, cols) of red, green, blue, nir, evi, savi, NaN where not observed -> logit (N, 1, rows, cols).
    DEDNet fuses its encoders at 1/4 (block 1) and after the atrous pooling (block 2). Here block 1 fuses them at 1/4, 1/8 and 1/16 and
    block 2 at 1/32; the atrous pooling follows there, where it costs a hundredth. A feature pyramid brings the levels together at 1/4,
    and features of the bands at 1/2 give the outline what 1/4 has lost.

    ConvNeXt-V2-Tiny: 96, 192, 384, 768 channels at 1/4 ... 1/32 of each encoder.

    Parameters
    ----------
    options : sizes
    statistics : of the training samples, for the normalisation
    pretrained : both encoders; see :class:`model.networks.encoders.Encoder`. Weights of ConvNeXt-V2 are CC-BY-NC-4.0, those of PVTv2
        and CAFormer Apache-2.0

    Source
    ------
    Blocks: Lin et al. (2024), section 3.2; encoders: Woo et al. (2023), ConvNeXt V2, Wang et al. (2022), PVT v2, Yu et al. (2024),
    MetaFormer baselines; pyramid: Lin et al. (2017), Kirillov et al. (2019), Panoptic feature pyramid networks.
    """

    options: DualPyramidOptions
    variants: ClassVar = {
        "dualpyramid-convnextv2-tiny": DualPyramidOptions(),
        "dualpyramid-convnextv2-atto": DualPyramidOptions(backbone="convnextv2_atto", width=96),
        "dualpyramid-pvt-v2-b2": DualPyramidOptions(backbone="pvt_v2_b2"),
        "dualpyramid-caformer-s18": DualPyramidOptions(backbone="caformer_s18"),
    }

    def __init__(self, options: DualPyramidOptions, statistics: BandStatistics, pretrained: Pretrained = False) -> None:
        super().__init__(options, statistics)
        self.true_colour_input, self.spectral_input = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.true_colour_encoder = Encoder(options.backbone, 3, pretrained)
        self.spectral_encoder = Encoder(options.backbone, 3, pretrained)
        strides = self.true_colour_encoder.strides
        if strides != (4, 8, 16, 32):
            raise ValueError(f"this network takes a backbone with features at 1/4 to 1/32; {options.backbone} has strides {strides}")
        *fine, coarsest = self.true_colour_encoder.channels
        self.blocks = nn.ModuleList(
            [
                *(FusionBlock(channels, shortcut=True, batch_norm_relu=True) for channels in fine),
                FusionBlock(coarsest, shortcut=False, batch_norm_relu=True),
            ]
        )
        self.detail = nn.Sequential(nn.PixelUnshuffle(2), convolution(4 * 6, options.detail_width, 3))
        self.decoder = PyramidDecoder(self.true_colour_encoder.channels, options)
        self.head = nn.Sequential(
            convolution(options.width + options.detail_width, options.width // 2, 3),
            nn.Dropout(options.dropout),
            nn.Conv2d(options.width // 2, 1, 1),
        )

    def forward(self, stack: Tensor) -> Tensor:
        rows, cols = stack.shape[-2:]
        true_colour, spectral = padded(self.normalise(stack), 32).split(3, dim=1)
        true_colour, spectral = self.true_colour_input(true_colour), self.spectral_input(spectral)
        pairs = zip(self.true_colour_encoder(true_colour), self.spectral_encoder(spectral), strict=True)
        fused = self.decoder([block(*pair) for block, pair in zip(self.blocks, pairs, strict=True)])
        detail = self.detail(torch.cat([true_colour, spectral], dim=1))
        logit = self.head(torch.cat([enlarge(fused, detail, align_corners=False), detail], dim=1))
        return enlarge(logit, true_colour, align_corners=False)[..., :rows, :cols]


class PyramidDecoder(nn.Module):
    """Feature maps at 1/4, 1/8, 1/16, 1/32 -> (N, width, rows/4, cols/4): from the coarsest to the finest, then all together."""

    def __init__(self, channels: tuple[int, ...], options: DualPyramidOptions) -> None:
        super().__init__()
        *fine, coarsest = channels
        width = options.width
        self.pooling = AtrousPooling(coarsest, width, options.atrous_rates, options.dropout, image_pooling=True)
        self.lateral = nn.ModuleList(convolution(wide, width, 1) for wide in fine)
        self.smooth = nn.ModuleList(convolution(width, width, 3) for _ in fine)
        self.fuse = convolution(len(channels) * width, width, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        *fine, coarsest = features
        level = self.pooling(coarsest)
        levels = [level]
        for finer, lateral, smooth in reversed(list(zip(fine, self.lateral, self.smooth, strict=True))):
            level = lateral(finer) + enlarge(level, finer, align_corners=False)
            levels.append(smooth(level))
        fused: Tensor = self.fuse(torch.cat([enlarge(each, level, align_corners=False) for each in levels], dim=1))
        return fused
