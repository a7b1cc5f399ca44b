"""DeepLabV3+: with Xception-71 on 8-bit true colour as Hu et al. (2023), or on any bands as Maslov and Schellenberger (2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from torch import Tensor, nn

from engine.sample_chips import TRUE_COLOUR_SATURATION
from model.networks.backbones import Pretrained
from model.networks.bands import FEATURE_SETS, RGB
from model.networks.deeplab import enlarge
from model.networks.encoders import Encoder, padded
from model.networks.network import BandStatistics, MinMaxNormalisation, Network


@dataclass(frozen=True)
class DeepLabV3PlusOptions:
    """What the sources leave open.

    Parameters
    ----------
    bands : names of the bands it reads, see ``FEATURE_SETS``
    backbone : encoder of timm that knows ``output_stride``
    output_stride : of the high-level features, 8 or 16
    atrous_rates : dilation of the 3 x 3 convolutions of the atrous pooling (Chen et al.: 6, 12, 18 at stride 16, twice that at 8)
    width, dropout : channels and dropout of atrous pooling and decoder
    eight_bit : see the bands as an 8-bit picture, 0-255 over reflectance 0-0.3558, instead of min-max over the samples
    """

    bands: tuple[str, ...] = FEATURE_SETS["optical"]
    backbone: str = "resnet50"
    output_stride: int = 16
    atrous_rates: tuple[int, int, int] = (6, 12, 18)
    width: int = 256
    dropout: float = 0.1
    eight_bit: bool = False

    def __post_init__(self) -> None:
        if self.output_stride not in (8, 16):
            raise ValueError(f"DeepLabV3+ has output stride 8 or 16, not {self.output_stride}")


class EightBit(MinMaxNormalisation):
    """Reflectance as an 8-bit true-colour picture shows it: (N, bands, rows, cols), NaN where not observed -> 0-1 in 256 steps.

    The range is that of Sentinel-2's true-colour images; what was not observed becomes the samples' mean.

    Source
    ------
    Hu et al. (2023), section 3.2.1, who do not tell their stretch.
    """

    kind = "8-bit picture of the reflectance from minimum to maximum, inside the network; not observed = mean of the training samples"

    def __init__(self, statistics: BandStatistics) -> None:
        bands = len(statistics.mean)
        super().__init__(BandStatistics((0.0,) * bands, (TRUE_COLOUR_SATURATION,) * bands, statistics.mean))

    def forward(self, stack: Tensor) -> Tensor:
        return (super().forward(stack).clamp(0, 1) * 255).round() / 255


class DeepLabV3Plus(Network):
    """An encoder, atrous pooling of its high-level features, and a decoder that adds the low-level ones.

    ``forward``: stack (N, bands, rows, cols), NaN where not observed -> logit (N, 1, rows, cols). Xception-71: low-level features
    256 at 1/4, high-level 2048 at 1/16, decoder 256 at 1/4.

    Parameters
    ----------
    options : what the sources leave open
    statistics : of the training samples, for the normalisation
    pretrained : see :class:`model.networks.encoders.Encoder`

    Source
    ------
    Chen et al. (2018), DeepLabV3+; decoder of segmentation-models-pytorch (separable convolutions, 48 low-level channels).
    """

    options: DeepLabV3PlusOptions
    variants: ClassVar = {
        "deeplabv3plus": DeepLabV3PlusOptions(),
        "deeplabv3plus-xception71": DeepLabV3PlusOptions(bands=RGB, backbone="xception71", eight_bit=True),
    }

    def __init__(self, options: DeepLabV3PlusOptions, statistics: BandStatistics, pretrained: Pretrained = False) -> None:
        super().__init__(options, statistics, options.bands)
        if options.eight_bit:
            self.normalise = EightBit(statistics)
        self.encoder = Encoder(options.backbone, len(options.bands), pretrained, output_stride=options.output_stride)
        self.decoder = DeepLabV3PlusDecoder(
            (len(options.bands), *self.encoder.channels),
            encoder_depth=5,
            out_channels=options.width,
            atrous_rates=options.atrous_rates,
            output_stride=options.output_stride,
            aspp_separable=True,
            aspp_dropout=options.dropout,
        )
        self.head = nn.Conv2d(options.width, 1, 1)

    def forward(self, stack: Tensor) -> Tensor:
        rows, cols = stack.shape[-2:]
        bands = padded(self.normalise(stack), 16)
        logit = self.head(self.decoder([bands, *self.encoder(bands)]))
        return enlarge(logit, bands, align_corners=False)[..., :rows, :cols]
