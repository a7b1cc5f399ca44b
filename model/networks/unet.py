"""U-Net, one of the networks of Maslov and Schellenberger (2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from model.networks.backbones import Pretrained
from model.networks.bands import FEATURE_SETS
from model.networks.encoders import Encoder, padded
from model.networks.network import BandStatistics, Network


@dataclass(frozen=True)
class UNetOptions:
    """What the source leaves open.

    Parameters
    ----------
    bands : names of the bands it reads, see ``FEATURE_SETS``
    backbone : encoder of timm with features at 1/2, 1/4, 1/8, 1/16 and 1/32
    widths : channels of the decoder, the coarsest level first
    """

    bands: tuple[str, ...] = FEATURE_SETS["optical"]
    backbone: str = "resnet34"
    widths: tuple[int, ...] = (256, 128, 64, 32, 16)


class UNet(Network):
    """An encoder, and a decoder that sees the encoder's features of each resolution.

    ``forward``: stack (N, bands, rows, cols), NaN where not observed -> logit (N, 1, rows, cols). ResNet-34: features of 64, 64, 128,
    256, 512 channels at 1/2 ... 1/32, decoder 256, 128, 64, 32, 16 channels at 1/16 ... 1.

    Parameters
    ----------
    options : what the source leaves open
    statistics : of the training samples, for the normalisation
    pretrained : see :class:`model.networks.encoders.Encoder`

    Source
    ------
    Ronneberger et al. (2015), U-Net, with a pretrained encoder; decoder of segmentation-models-pytorch. Maslov and Schellenberger
    (2022) tell neither depth nor widths of theirs.
    """

    options: UNetOptions
    variants: ClassVar = {"unet": UNetOptions()}

    def __init__(self, options: UNetOptions, statistics: BandStatistics, pretrained: Pretrained = False) -> None:
        super().__init__(options, statistics, options.bands)
        self.encoder = Encoder(options.backbone, len(options.bands), pretrained)
        if self.encoder.strides != (2, 4, 8, 16, 32):
            raise ValueError(f"U-Net takes a backbone with features at 1/2 to 1/32; {options.backbone} has strides {self.encoder.strides}")
        self.decoder = UnetDecoder((len(options.bands), *self.encoder.channels), options.widths, n_blocks=len(options.widths))
        self.head = nn.Conv2d(options.widths[-1], 1, 3, padding=1)

    def forward(self, stack: Tensor) -> Tensor:
        rows, cols = stack.shape[-2:]
        bands = padded(self.normalise(stack), self.encoder.strides[-1])
        logit: Tensor = self.head(self.decoder([bands, *self.encoder(bands)]))
        return logit[..., :rows, :cols]
