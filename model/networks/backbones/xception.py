"""Aligned Xception, as DeepLabV3+ changed it."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from model.networks.backbones.backbone import Backbone, Pretrained, timm_network


class Xception(Backbone):
    """Aligned Xception: depthwise separable convolutions with batch norm and ReLU, strided ones instead of max pooling.

    ``forward``: (N, bands, rows, cols) -> low (N, 128, rows/4, cols/4) from the first block of the entry flow,
    high (N, 2048, rows/stride, cols/stride).

    Parameters
    ----------
    pretrained : True loads timm's ImageNet weights from its hub
    output_stride : 8, 16 or 32; the last strided blocks are dilated instead

    Source
    ------
    Chollet (2017), Xception; Chen et al. (2018), DeepLabV3+, section 3.2 and figure 4; layers from timm.
    """

    names: ClassVar = ("xception41", "xception65", "xception71")
    strides: ClassVar = (8, 16, 32)

    def __init__(self, name: str, pretrained: Pretrained = False, bands: int = 3, output_stride: int = 16) -> None:
        super().__init__()
        self.output_stride = output_stride
        whole: Any = timm_network(name, pretrained, bands, output_stride=output_stride)
        self.stem = whole.stem
        self.fine = whole.blocks[0]
        self.coarse = nn.Sequential(*whole.blocks[1:], whole.act)
        self.channels = (whole.blocks[0].out_channels, whole.num_features)
