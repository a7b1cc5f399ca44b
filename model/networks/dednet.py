"""DEDNet: two encoders, one decoder (Lin et al. 2024, section 3.2 and figure 4).

The paper leaves details open; each is a field of :class:`DEDNetOptions` and stands in the model's card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from model.networks.backbones import Pretrained
from model.networks.deeplab import SETTINGS, DeepLabOptions, convolution, enlarge
from model.networks.network import BandStatistics, Network

BANDS_PER_ENCODER = 3


@dataclass(frozen=True)
class DEDNetOptions(DeepLabOptions):
    """What the paper leaves open, and the sizes of the network; see :class:`DeepLabOptions` for the rest.

    Parameters
    ----------
    aspp_placement : ``per_encoder`` (section 3.2 counts atrous convolution to the encoders) or ``after_fusion``
    blocks : which of blocks 1 and 2 are there (section 5.1)
    unfused : what stands for a block that is not there: ``true_colour``, the features of the true-colour encoder alone
        (so that block 1 alone fuses low-level features only, as the paper's conclusion from its ablation takes it), or
        ``concatenate``, those of both encoders side by side
    block_batch_norm_relu : batch norm and ReLU after the 1 x 1 convolution of blocks 1 and 2
    relu_after_shortcut : in block 1
    """

    aspp_placement: str = "per_encoder"
    blocks: tuple[int, ...] = (1, 2)
    unfused: str = "true_colour"
    block_batch_norm_relu: bool = True
    relu_after_shortcut: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.aspp_placement not in ("per_encoder", "after_fusion"):
            raise ValueError(f"aspp_placement is per_encoder or after_fusion, not {self.aspp_placement!r}")
        if self.unfused not in ("true_colour", "concatenate"):
            raise ValueError(f"unfused is true_colour or concatenate, not {self.unfused!r}")
        if not set(self.blocks) <= {1, 2}:
            raise ValueError(f"blocks are 1 and 2, not {self.blocks}")
        if not self.blocks and self.unfused == "true_colour":
            raise ValueError("without blocks, true-colour features alone are CDNet on true colour: create cdnet, or unfused='concatenate'")


ABLATIONS: dict[str, dict[str, Any]] = {
    "block1": {"blocks": (1,)},
    "block2": {"blocks": (2,)},
    "noblocks": {"blocks": (), "unfused": "concatenate"},
}


class FusionBlock(nn.Module):
    """Blocks 1 and 2: two feature maps of the same width (N, C, r, c) -> one (N, C, r, c).

    Concatenate to 2 C, reduce by a 1 x 1 convolution to C; block 1 adds the true-colour features back.
    """

    def __init__(self, channels: int, *, shortcut: bool, batch_norm_relu: bool, relu_after_shortcut: bool = False) -> None:
        super().__init__()
        self.channels = channels
        self.reduce = convolution(2 * channels, channels, 1) if batch_norm_relu else nn.Conv2d(2 * channels, channels, 1)
        self.shortcut = shortcut
        self.after = nn.ReLU() if shortcut and relu_after_shortcut else nn.Identity()

    def forward(self, true_colour: Tensor, spectral: Tensor) -> Tensor:
        fused = self.reduce(torch.cat([true_colour, spectral], dim=1))
        return self.after(fused + true_colour) if self.shortcut else fused


class NoBlock(nn.Module):
    """In place of a block: the true-colour features alone (N, C, r, c), or both side by side (N, 2 C, r, c)."""

    def __init__(self, channels: int, concatenate: bool) -> None:
        super().__init__()
        self.channels = 2 * channels if concatenate else channels
        self.concatenate = concatenate

    def forward(self, true_colour: Tensor, spectral: Tensor) -> Tensor:
        return torch.cat([true_colour, spectral], dim=1) if self.concatenate else true_colour


class DEDNet(Network):
    """Dual-encoder, single-decoder network for rock glaciers.

    ``forward``: stack (N, 6, rows, cols) of red, green, blue, nir (reflectance 0-1), evi, savi, NaN where not
    observed -> logit (N, 1, rows, cols); its sigmoid is the probability of rock glacier. (A softmax over the two
    classes is the sigmoid of their difference: one logit does.)

    With HRNetV2-W48 at 352 px: low-level features 256 x 88 x 88, high-level 720 x 88 x 88, fused 256 x 88 x 88.

    Parameters
    ----------
    options : what the paper leaves open
    statistics : of the training samples, for the normalisation
    pretrained : start both encoders from ImageNet weights
    """

    options: DEDNetOptions
    variants: ClassVar = {
        **{f"dednet-{name}": DEDNetOptions(**settings) for name, settings in SETTINGS.items()},
        **{
            f"dednet-{name}-{ablation}": DEDNetOptions(**SETTINGS[name], **changes)
            for name in ("hrnet-w48", "compact")
            for ablation, changes in ABLATIONS.items()
        },
    }

    def __init__(self, options: DEDNetOptions, statistics: BandStatistics, pretrained: Pretrained = False) -> None:
        super().__init__(options, statistics)
        self.true_colour_input, self.spectral_input = options.input_norm(), options.input_norm()
        self.true_colour_encoder, self.spectral_encoder = options.encoder(pretrained), options.encoder(pretrained)
        low, high = self.true_colour_encoder.channels
        per_encoder = options.aspp_placement == "per_encoder"
        concatenate = options.unfused == "concatenate"
        only_low_spectral = 2 not in options.blocks and not concatenate
        if only_low_spectral:
            self.spectral_encoder.coarse = nn.Identity()

        self.true_colour_aspp = options.aspp(high) if per_encoder else nn.Identity()
        self.spectral_aspp = options.aspp(high) if per_encoder and not only_low_spectral else nn.Identity()
        fused = (2 if 2 not in options.blocks and concatenate else 1) * high
        self.fused_aspp = nn.Identity() if per_encoder else options.aspp(fused)

        self.block1: FusionBlock | NoBlock = NoBlock(low, concatenate)
        if 1 in options.blocks:
            self.block1 = FusionBlock(
                low, shortcut=True, batch_norm_relu=options.block_batch_norm_relu, relu_after_shortcut=options.relu_after_shortcut
            )
        high = options.aspp_width if per_encoder else high
        self.block2: FusionBlock | NoBlock = NoBlock(high, concatenate)
        if 2 in options.blocks:
            self.block2 = FusionBlock(high, shortcut=False, batch_norm_relu=options.block_batch_norm_relu)
        self.reduce_low = options.reduce_low(self.block1.channels)
        self.decoder = options.decoder(options.low_width + (self.block2.channels if per_encoder else options.aspp_width))

    def forward(self, stack: Tensor) -> Tensor:
        true_colour, spectral = self.normalise(stack).split(BANDS_PER_ENCODER, dim=1)
        low1, high1 = self.true_colour_encoder(self.true_colour_input(true_colour))
        low2, high2 = self.spectral_encoder(self.spectral_input(spectral))
        high = self.fused_aspp(self.block2(self.true_colour_aspp(high1), self.spectral_aspp(high2)))
        low = self.reduce_low(self.block1(low1, low2))
        logit = self.decoder(torch.cat([low, enlarge(high, low, self.options.align_corners)], dim=1))
        return enlarge(logit, stack, self.options.align_corners)
