"""SegNet, one of the networks of Maslov and Schellenberger (2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks.backbones import Pretrained
from model.networks.bands import FEATURE_SETS
from model.networks.deeplab import convolution
from model.networks.encoders import Encoder, padded
from model.networks.network import BandStatistics, Network


@dataclass(frozen=True)
class SegNetOptions:
    """What the source leaves open.

    Parameters
    ----------
    bands : names of the bands it reads, see ``FEATURE_SETS``
    backbone : ``vgg16_bn`` (the paper's), ``vgg11_bn``, ``vgg13_bn`` or ``vgg19_bn``; the decoder mirrors it
    """

    bands: tuple[str, ...] = FEATURE_SETS["optical"]
    backbone: str = "vgg16_bn"

    def __post_init__(self) -> None:
        if self.backbone not in ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"):
            raise ValueError(f"SegNet's backbone is a VGG with batch norm, vgg16_bn or another, not {self.backbone!r}")


class SegNet(Network):
    """VGG as encoder, its mirror image as decoder; where each maximum was is what the decoder knows of the fine resolutions.

    ``forward``: stack (N, bands, rows, cols), NaN where not observed -> logit (N, 1, rows, cols). VGG-16: 64, 128, 256, 512, 512
    channels, pooled to 1/32, and back.

    Parameters
    ----------
    options : what the source leaves open
    statistics : of the training samples, for the normalisation
    pretrained : see :class:`model.networks.encoders.Encoder`

    Source
    ------
    Badrinarayanan et al. (2017), SegNet, section 3; encoder from timm.
    """

    options: SegNetOptions
    variants: ClassVar = {"segnet": SegNetOptions()}

    def __init__(self, options: SegNetOptions, statistics: BandStatistics, pretrained: Pretrained = False) -> None:
        super().__init__(options, statistics, options.bands)
        stages = vgg_stages(options.backbone, len(options.bands), pretrained)
        self.encoder, self.decoder = nn.ModuleList(stages), nn.ModuleList()
        widths = [[layer.out_channels for layer in stage if isinstance(layer, nn.Conv2d)] for stage in stages]
        for number, own in reversed(list(enumerate(widths))):
            finer = widths[number - 1][-1] if number else own[0]
            steps = [*reversed(own), finer]
            self.decoder.append(nn.Sequential(*(convolution(wide, narrow, 3) for wide, narrow in zip(steps, steps[1:], strict=False))))
        self.head = nn.Conv2d(widths[0][0], 1, 3, padding=1)

    def forward(self, stack: Tensor) -> Tensor:
        rows, cols = stack.shape[-2:]
        features, places = padded(self.normalise(stack), 32), []
        for stage in self.encoder:
            features, place = pool(stage(features))
            places.append(place)
        for stage, place in zip(self.decoder, reversed(places), strict=True):
            features = stage(unpool(features, place))
        logit: Tensor = self.head(features)
        return logit[..., :rows, :cols]


def vgg_stages(name: str, bands: int, pretrained: Pretrained) -> list[nn.Sequential]:
    """The convolutions of a VGG of timm between its poolings: five stages."""
    stages: list[list[nn.Module]] = [[]]
    for layer in Encoder(name, bands, pretrained).body.children():
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
        else:
            stages[-1].append(layer)
    return [nn.Sequential(*stage) for stage in stages if stage]


def pool(features: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima of 2 x 2 pixels and where they were.

    Parameters
    ----------
    features : (N, C, rows, cols), even numbers of rows and columns

    Returns
    -------
    (N, C, rows/2, cols/2) maximum; (N, C, rows/2, cols/2) number 0-3 of its pixel, row by row, the first where several are equal
    """
    count, channels, rows, cols = features.shape
    of_each = functional.pixel_unshuffle(features, 2).reshape(count, channels, 4, rows // 2, cols // 2)
    return functional.max_pool2d(features, 2), of_each.argmax(dim=2)


def unpool(features: Tensor, place: Tensor) -> Tensor:
    """Each value where :func:`pool` found the maximum, zeros around it: (N, C, r, c) -> (N, C, 2 r, 2 c)."""
    pixels = torch.arange(4, device=place.device).reshape(4, 1, 1)
    spread = features.unsqueeze(2) * (place.unsqueeze(2) == pixels)
    return functional.pixel_shuffle(spread.flatten(1, 2), 2)
