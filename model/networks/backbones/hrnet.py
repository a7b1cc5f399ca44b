"""HRNetV2: the branches of all resolutions meet at 1/4."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks.backbones.backbone import Backbone, Pretrained, timm_network


class HRNetV2(Backbone):
    """HRNetV2.

    ``forward``: (N, bands, rows, cols) -> low (N, 256, rows/4, cols/4) from layer1 (small ones: 64 or 128), high (N, sum of branches,
    rows/4, cols/4): 48 + 96 + 192 + 384 = 720 channels for W48. Any number of rows and columns.

    Parameters
    ----------
    pretrained : True loads timm's ImageNet weights from its hub
    fuse_upsampling : ``nearest`` or ``bilinear`` between branches; timm's weights were trained with ``nearest``,
        those of the authors' HRNet-Semantic-Segmentation with ``bilinear``
    align_corners : of the bilinear interpolations

    Source
    ------
    Wang et al. (2020), Deep high-resolution representation learning, section 3.4 (HRNetV2); layers from timm.
    """

    names: ClassVar = ("hrnet_w48", "hrnet_w32", "hrnet_w18", "hrnet_w18_small_v2", "hrnet_w18_small")
    strides: ClassVar = (4,)
    multiple: ClassVar = 32
    output_stride = 4

    def __init__(
        self, name: str, pretrained: Pretrained = False, bands: int = 3, fuse_upsampling: str = "nearest", align_corners: bool = False
    ) -> None:
        super().__init__()
        whole: Any = timm_network(name, pretrained, bands)
        for module in whole.modules():
            if isinstance(module, nn.Upsample):
                module.mode = fuse_upsampling
                module.align_corners = align_corners if fuse_upsampling == "bilinear" else None
        widths = whole.stage4_cfg["num_channels"]
        self.stem = nn.Sequential(whole.conv1, whole.bn1, whole.act1, whole.conv2, whole.bn2, whole.act2)
        self.fine = whole.layer1
        self.channels = (whole.layer1[-1].conv3.out_channels, sum(widths))
        self.coarse = Branches(whole, align_corners)


class Branches(nn.Module):
    """(N, C, r, c) from layer1 -> (N, sum of branches, r, c): all branches, enlarged to the finest."""

    def __init__(self, whole: Any, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        whole.layer1 = nn.Identity()
        for name in ("conv1", "bn1", "act1", "conv2", "bn2", "act2", "incre_modules", "downsamp_modules", "final_layer", "classifier"):
            delattr(whole, name)
        self.body = whole

    def forward(self, low: Tensor) -> Tensor:
        finest, *coarser = self.body.stages(low)
        size = finest.shape[-2:]
        enlarged = [functional.interpolate(branch, size=size, mode="bilinear", align_corners=self.align_corners) for branch in coarser]
        return torch.cat([finest, *enlarged], dim=1)
