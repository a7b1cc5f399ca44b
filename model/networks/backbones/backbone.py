"""What all backbones have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import timm
from torch import Tensor, nn
from torch.nn import functional

Pretrained = bool | str | Path
"""False: random weights; True: ImageNet weights from where the backbone has them; a path: the file that holds them."""

LOW_STRIDE = 4


class Backbone(nn.Module):
    """``forward``: (N, bands, rows, cols), any size -> low-level features at 1/4 and high-level ones at 1/``output_stride``.

    ``names`` of the backbones of a family; ``strides`` the output strides that it has; ``channels`` of the low-level and
    the high-level features; ``multiple`` the tile is padded to full multiples of it, and the features are cut again.
    ``stem`` and ``fine`` lead to the low-level features, ``coarse`` from there to the high-level ones.
    """

    names: ClassVar[Sequence[str]]
    strides: ClassVar[tuple[int, ...]]
    multiple: ClassVar[int] = 1
    channels: tuple[int, int]
    output_stride: int
    stem: nn.Module
    fine: nn.Module
    coarse: nn.Module

    def forward(self, bands: Tensor) -> tuple[Tensor, Tensor]:
        if self.multiple == 1:
            return self.features(bands)
        rows, cols = bands.shape[-2:]
        low, high = self.features(functional.pad(bands, (0, -cols % self.multiple, 0, -rows % self.multiple)))
        return cut(low, rows, cols, LOW_STRIDE), cut(high, rows, cols, self.output_stride)

    def features(self, bands: Tensor) -> tuple[Tensor, Tensor]:
        """Low-level and high-level features of a tile of a size that the layers divide."""
        low = self.fine(self.stem(bands))
        return low, self.coarse(low)


def cut(features: Tensor, rows: int, cols: int, stride: int) -> Tensor:
    """The features (N, C, r, c) that a tile of some rows and columns has at a stride."""
    return features[..., : (rows + stride - 1) // stride, : (cols + stride - 1) // stride]


def timm_network(name: str, pretrained: Pretrained, bands: int, **arguments: Any) -> Any:
    """A network of timm; a file of weights has to be of the whole classification network, layer by layer.

    Over other than three bands the first convolution repeats timm's filters.

    Raises
    ------
    RuntimeError
        for a file with weights of another network, or one that would run code.
    """
    if isinstance(pretrained, bool):
        return timm.create_model(name, pretrained=pretrained, in_chans=bands, **arguments)
    file = {"file": str(pretrained)}
    if "features_only" in arguments:  # as a feature network it would leave out what does not fit without a word
        timm.create_model(name, pretrained=True, pretrained_cfg_overlay=file)
    return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=file, in_chans=bands, **arguments)
