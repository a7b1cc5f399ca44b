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
    """A whole classification network of timm; a file of weights has to fit all its layers.

    Over other than three bands the first convolution repeats timm's filters.

    Raises
    ------
    RuntimeError
        for a file with weights of another network; UnpicklingError for one that would run code.
    """
    file: dict[str, Any] = {} if isinstance(pretrained, bool) else {"pretrained_cfg_overlay": {"file": str(pretrained)}}
    return timm.create_model(name, pretrained=bool(pretrained), in_chans=bands, **file, **arguments)
