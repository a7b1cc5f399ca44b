"""Plain vision transformer: the same tokens all the way, made a pyramid again."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks.backbones.backbone import Backbone, Pretrained, timm_network

PATCH = 16
LOW_CHANNELS = 256


class ViT(Backbone):
    """Vision transformer over patches of 16 x 16 pixels.

    ``forward``: (N, bands, rows, cols) -> low (N, 256, rows/4, cols/4), the tokens after the first quarter of the blocks,
    enlarged by two transposed convolutions; high (N, 768, rows/16, cols/16), the normalised last tokens. Any number of rows
    and columns: the position embedding is interpolated to the patches that there are.

    Lin et al. (2024) do not say how they got two levels of features from their transformer; this is the shortest way.

    Parameters
    ----------
    name : ``vit_base`` (768 channels), ``vit_small`` (384) or ``vit_tiny`` (192)
    pretrained : True loads timm's ImageNet weights (at 224 px) from its hub

    Source
    ------
    Dosovitskiy et al. (2021), ViT; Ranftl et al. (2021), DPT, section 3 (tokens of early blocks, reassembled);
    Li et al. (2022), Exploring plain vision transformer backbones, section 3 (transposed convolutions); layers from timm.
    """

    names: ClassVar = ("vit_base", "vit_small", "vit_tiny")
    strides: ClassVar = (PATCH,)
    multiple: ClassVar = PATCH

    def __init__(self, name: str, pretrained: Pretrained = False, bands: int = 3, output_stride: int = PATCH) -> None:
        super().__init__()
        self.output_stride = output_stride
        whole: Any = timm_network(f"{name}_patch{PATCH}_224", pretrained, bands)
        early = len(whole.blocks) // 4
        self.stem = PatchEmbedding(whole)
        self.fine = nn.Sequential(*whole.blocks[:early])
        self.coarse = nn.Sequential(*whole.blocks[early:], whole.norm)
        self.enlarge = nn.Sequential(
            nn.ConvTranspose2d(whole.embed_dim, LOW_CHANNELS, 2, stride=2, bias=False),
            nn.BatchNorm2d(LOW_CHANNELS),
            nn.ReLU(),
            nn.ConvTranspose2d(LOW_CHANNELS, LOW_CHANNELS, 2, stride=2, bias=False),
            nn.BatchNorm2d(LOW_CHANNELS),
            nn.ReLU(),
        )
        self.channels = (LOW_CHANNELS, whole.embed_dim)

    def features(self, bands: Tensor) -> tuple[Tensor, Tensor]:
        rows, cols = (size // PATCH for size in bands.shape[-2:])
        early = self.fine(self.stem(bands))
        return self.enlarge(as_map(early, rows, cols)), as_map(self.coarse(early), rows, cols)


class PatchEmbedding(nn.Module):
    """(N, bands, rows, cols) -> tokens (N, 1 + patches, C): the class token, then the patches, with their positions."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.patches = whole.patch_embed.proj
        self.class_token, self.position = whole.cls_token, whole.pos_embed

    def forward(self, bands: Tensor) -> Tensor:
        patches = self.patches(bands)
        side = int((self.position.shape[1] - 1) ** 0.5)
        grid = as_map(self.position, side, side)
        places = functional.interpolate(grid, size=patches.shape[-2:], mode="bilinear", align_corners=False)
        class_token = (self.class_token + self.position[:, :1]).expand(bands.shape[0], -1, -1)
        return torch.cat([class_token, (patches + places).flatten(2).transpose(1, 2)], dim=1)


def as_map(tokens: Tensor, rows: int, cols: int) -> Tensor:
    """Tokens (N, 1 + rows * cols, C) without the first one -> (N, C, rows, cols)."""
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (rows, cols))
