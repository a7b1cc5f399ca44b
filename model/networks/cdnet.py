"""CDNet: the classical DeepLabV3+, on any bands (Lin et al. 2024, sections 5.1 and 5.2).

On three bands it is the paper's CDNet; on more it is MI_CDNet (the backbone's first convolution takes them all) or, with
a convolution in front that makes three features of them, AC_CDNet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from jobs import STACK_BANDS
from model.networks.backbones import Pretrained
from model.networks.deeplab import SETTINGS, DeepLabOptions, enlarge
from model.networks.network import BandStatistics, Network

TRUE_COLOUR, SPECTRAL = STACK_BANDS[:3], STACK_BANDS[3:]


@dataclass(frozen=True)
class CDNetOptions(DeepLabOptions):
    """See :class:`DeepLabOptions` for the rest.

    Parameters
    ----------
    bands : the names of the bands it reads
    added_convolution : side of the kernel of the convolution in front, 0 = none; the paper does not name it
    """

    bands: tuple[str, ...] = TRUE_COLOUR
    added_convolution: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.added_convolution and self.added_convolution % 2 == 0:
            raise ValueError(f"added_convolution is the side of a kernel, odd, or 0 for none; not {self.added_convolution}")


MULTISPECTRAL: dict[str, dict[str, Any]] = {
    "cdnet-nir": {"bands": SPECTRAL},
    "mi-cdnet": {"bands": STACK_BANDS},
    "ac-cdnet": {"bands": STACK_BANDS, "added_convolution": 1},
}


class CDNet(Network):
    """Classical DeepLabV3+: one encoder, one decoder.

    ``forward``: stack (N, bands, rows, cols), NaN where not observed -> logit (N, 1, rows, cols).

    Parameters
    ----------
    options : bands, backbone and sizes
    statistics : of the training samples, one for each of the options' bands
    pretrained : start the encoder from ImageNet weights; over more than three bands its first filters are repeated
        (the paper trained MI_CDNet from random weights)

    Source
    ------
    Chen et al. (2018), Encoder-decoder with atrous separable convolution for semantic image segmentation.
    """

    options: CDNetOptions
    variants: ClassVar = {
        **{f"cdnet-{name}": CDNetOptions(**settings) for name, settings in SETTINGS.items()},
        **{
            f"{kind}-{name}": CDNetOptions(**SETTINGS[name], **changes)
            for name in ("hrnet-w48", "compact")
            for kind, changes in MULTISPECTRAL.items()
        },
    }

    def __init__(self, options: CDNetOptions, statistics: BandStatistics, pretrained: Pretrained = False) -> None:
        super().__init__(options, statistics, options.bands)
        bands = len(options.bands)
        kernel = options.added_convolution
        self.input = options.input_norm(bands)
        self.added_convolution = nn.Conv2d(bands, 3, kernel, padding=kernel // 2) if kernel else nn.Identity()
        self.encoder = options.encoder(pretrained, 3 if kernel else bands)
        low, high = self.encoder.channels
        self.aspp = options.aspp(high)
        self.reduce_low = options.reduce_low(low)
        self.decoder = options.decoder(options.low_width + options.aspp_width)

    def forward(self, stack: Tensor) -> Tensor:
        low, high = self.encoder(self.added_convolution(self.input(self.normalise(stack))))
        low, high = self.reduce_low(low), self.aspp(high)
        logit = self.decoder(torch.cat([low, enlarge(high, low, self.options.align_corners)], dim=1))
        return enlarge(logit, stack, self.options.align_corners)
