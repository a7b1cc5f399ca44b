"""A network that learns within seconds, with all that makes training hard to repeat."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from model.networks import BandStatistics, Network

STATISTICS = BandStatistics((0.0,) * 6, (1.0,) * 6, (0.2,) * 6)
ABOUT = {"name": "tiny", "gsd_m": 10.0, "tile_px": 32, "nir": "optional", "training": {}, "training_data": []}


@dataclass(frozen=True)
class TinyOptions:
    width: int = 8


class Tiny(Network):
    """A convolution with batch norm and dropout, and one more."""

    def __init__(self, batch_norm: bool = True) -> None:
        super().__init__(TinyOptions(), STATISTICS)
        norm = nn.BatchNorm2d(8) if batch_norm else nn.Identity()
        self.encoder = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), norm, nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, stack: Tensor) -> Tensor:
        return self.head(self.encoder(self.normalise(stack)))
