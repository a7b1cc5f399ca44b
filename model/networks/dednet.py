"""DEDNet: two encoders, one decoder (Lin et al. 2024, section 3.2 and figure 4).

The paper leaves details open; each is a field of :class:`DEDNetOptions` and stands in the model's card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.networks.backbones import Backbone, create_backbone, enlarge

BANDS_PER_ENCODER = 3


@dataclass(frozen=True)
class DEDNetOptions:
    """What the paper leaves open, and the sizes of the network.

    Parameters
    ----------
    backbone : ``hrnet_w48`` (the paper's), ``hrnet_w32``, ``hrnet_w18``, ``efficientnet_lite0``
    output_stride : of the high-level features; 4 for HRNets
    fuse_upsampling : between an HRNet's branches, ``nearest`` or ``bilinear``
    input_batch_norm : batch norm of the normalised bands, so that pretrained filters meet the contrast they know
    aspp_placement : ``per_encoder`` (section 3.2 counts atrous convolution to the encoders) or ``after_fusion``
    atrous_rates : dilation of the 3 x 3 convolutions of the atrous pooling, in pixels of the high-level features
    aspp_width, aspp_dropout : channels and dropout of its output
    image_pooling : whether the atrous pooling has a branch that sees the mean of the whole tile
    block_batch_norm_relu : batch norm and ReLU after the 1 x 1 convolution of blocks 1 and 2
    relu_after_shortcut : in block 1
    low_width : channels to which low-level features are reduced before the decoder
    decoder_convolutions, decoder_width, decoder_dropout : 3 x 3 convolutions of the decoder, dropout after each
    align_corners : of all bilinear interpolations
    """

    backbone: str = "hrnet_w48"
    output_stride: int = 4
    fuse_upsampling: str = "nearest"
    input_batch_norm: bool = False
    aspp_placement: str = "per_encoder"
    atrous_rates: tuple[int, ...] = (12, 24, 36)
    aspp_width: int = 256
    aspp_dropout: float = 0.1
    image_pooling: bool = True
    block_batch_norm_relu: bool = True
    relu_after_shortcut: bool = False
    low_width: int = 48
    decoder_convolutions: int = 2
    decoder_width: int = 256
    decoder_dropout: float = 0.1
    align_corners: bool = False

    def __post_init__(self) -> None:
        if self.aspp_placement not in ("per_encoder", "after_fusion"):
            raise ValueError(f"aspp_placement is per_encoder or after_fusion, not {self.aspp_placement!r}")
        if self.fuse_upsampling not in ("nearest", "bilinear"):
            raise ValueError(f"fuse_upsampling is nearest or bilinear, not {self.fuse_upsampling!r}")


@dataclass(frozen=True)
class BandStatistics:
    """Per band of the training samples: minimum, maximum and mean of what was observed, in the band's units."""

    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    mean: tuple[float, ...]


class MinMaxNormalisation(nn.Module):
    """Min-max of the training samples (section 3.3.1), in float32; what was not observed becomes the samples' mean.

    ``forward``: (N, bands, rows, cols), NaN or infinite where not observed -> the same shape, about 0-1, finite.
    Values beyond the samples' range are cut at half a range outside it.
    """

    minimum: Tensor
    maximum: Tensor
    mean: Tensor

    def __init__(self, statistics: BandStatistics) -> None:
        super().__init__()
        for name in ("minimum", "maximum", "mean"):
            self.register_buffer(name, torch.tensor(getattr(statistics, name), dtype=torch.float32).reshape(1, -1, 1, 1))

    def forward(self, stack: Tensor) -> Tensor:
        stack = stack.float()
        observed = torch.where(torch.isnan(stack) | torch.isinf(stack), self.mean, stack)
        return ((observed - self.minimum) / (self.maximum - self.minimum)).clamp(-0.5, 1.5)


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


class FusionBlock(nn.Module):
    """Blocks 1 and 2: two feature maps of the same width (N, C, r, c) -> one (N, C, r, c).

    Concatenate to 2 C, reduce by a 1 x 1 convolution to C; block 1 adds the true-colour features back.
    """

    def __init__(self, channels: int, *, shortcut: bool, batch_norm_relu: bool, relu_after_shortcut: bool = False) -> None:
        super().__init__()
        self.reduce = convolution(2 * channels, channels, 1) if batch_norm_relu else nn.Conv2d(2 * channels, channels, 1)
        self.shortcut = shortcut
        self.after = nn.ReLU() if shortcut and relu_after_shortcut else nn.Identity()

    def forward(self, true_colour: Tensor, spectral: Tensor) -> Tensor:
        fused = self.reduce(torch.cat([true_colour, spectral], dim=1))
        return self.after(fused + true_colour) if self.shortcut else fused


class DEDNet(nn.Module):
    """Dual-encoder, single-decoder network for rock glaciers.

    ``forward``: stack (N, 6, rows, cols) of red, green, blue, nir (reflectance 0-1), evi, savi, NaN where not
    observed -> logit (N, 1, rows, cols); its sigmoid is the probability of rock glacier. (A softmax over the two
    classes is the sigmoid of their difference: one logit does.)

    With HRNetV2-W48 at 352 px: low-level features 256 x 88 x 88, high-level 720 x 88 x 88, fused 256 x 88 x 88.

    Parameters
    ----------
    options : what the paper leaves open
    statistics : of the training samples, for the normalisation
    pretrained : start both encoders from ImageNet weights
    """

    def __init__(self, options: DEDNetOptions, statistics: BandStatistics, pretrained: bool = False) -> None:
        super().__init__()
        self.options = options
        self.normalise = MinMaxNormalisation(statistics)

        def encoder() -> Backbone:
            return create_backbone(
                options.backbone,
                pretrained=pretrained,
                output_stride=options.output_stride,
                fuse_upsampling=options.fuse_upsampling,
                align_corners=options.align_corners,
            )

        def input_norm() -> nn.Module:
            return nn.BatchNorm2d(BANDS_PER_ENCODER) if options.input_batch_norm else nn.Identity()

        def aspp(channels: int) -> nn.Module:
            return AtrousPooling(channels, options.aspp_width, options.atrous_rates, options.aspp_dropout, options.image_pooling)

        self.true_colour_input, self.spectral_input = input_norm(), input_norm()
        self.true_colour_encoder, self.spectral_encoder = encoder(), encoder()
        low_channels, high_channels = self.true_colour_encoder.channels
        per_encoder = options.aspp_placement == "per_encoder"
        self.true_colour_aspp = aspp(high_channels) if per_encoder else nn.Identity()
        self.spectral_aspp = aspp(high_channels) if per_encoder else nn.Identity()
        self.fused_aspp = nn.Identity() if per_encoder else aspp(high_channels)
        self.block1 = FusionBlock(
            low_channels,
            shortcut=True,
            batch_norm_relu=options.block_batch_norm_relu,
            relu_after_shortcut=options.relu_after_shortcut,
        )
        self.block2 = FusionBlock(
            options.aspp_width if per_encoder else high_channels, shortcut=False, batch_norm_relu=options.block_batch_norm_relu
        )
        self.reduce_low = convolution(low_channels, options.low_width, 1)
        widths = [options.low_width + options.aspp_width, *([options.decoder_width] * options.decoder_convolutions)]
        self.decoder = nn.Sequential(
            *(
                nn.Sequential(convolution(wide, narrow, 3), nn.Dropout(options.decoder_dropout))
                for wide, narrow in zip(widths, widths[1:], strict=False)
            ),
            nn.Conv2d(widths[-1], 1, 1),
        )

    def forward(self, stack: Tensor) -> Tensor:
        true_colour, spectral = self.normalise(stack).split(BANDS_PER_ENCODER, dim=1)
        low1, high1 = self.true_colour_encoder(self.true_colour_input(true_colour))
        low2, high2 = self.spectral_encoder(self.spectral_input(spectral))
        high = self.fused_aspp(self.block2(self.true_colour_aspp(high1), self.spectral_aspp(high2)))
        low = self.reduce_low(self.block1(low1, low2))
        logit = self.decoder(torch.cat([low, enlarge(high, low, self.options.align_corners)], dim=1))
        return enlarge(logit, stack, self.options.align_corners)


def convolution(channels: int, width: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    """Convolution that keeps rows and columns, batch norm, ReLU: (N, channels, r, c) -> (N, width, r, c)."""
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )
