"""ResNet with dilated last stages."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from model.networks.backbones.backbone import Backbone, Pretrained, timm_network


class ResNet(Backbone):
    """ResNet.

    ``forward``: (N, bands, rows, cols) -> low (N, 256, rows/4, cols/4) from layer1, high (N, 2048, rows/stride, cols/stride);
    64 and 512 channels for ResNet-18 and -34.

    Parameters
    ----------
    pretrained : True loads timm's ImageNet weights from its hub
    output_stride : 8, 16 or 32; the last stages are dilated instead of strided

    Source
    ------
    He et al. (2016), Deep residual learning; as encoder of DeepLabV3+ by Chen et al. (2018), section 3.1; layers from timm.
    """

    names: ClassVar = ("resnet18", "resnet34", "resnet50", "resnet101")
    strides: ClassVar = (8, 16, 32)

    def __init__(self, name: str, pretrained: Pretrained = False, bands: int = 3, output_stride: int = 16) -> None:
        super().__init__()
        self.output_stride = output_stride
        whole: Any = timm_network(name, pretrained, bands, output_stride=output_stride)
        self.stem = nn.Sequential(whole.conv1, whole.bn1, whole.act1, whole.maxpool)
        self.fine = whole.layer1
        self.coarse = nn.Sequential(whole.layer2, whole.layer3, whole.layer4)
        self.channels = (whole.feature_info[1]["num_chs"], whole.num_features)
