"""What all networks have in common: named bands in, their normalisation inside, a logit out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from jobs import STACK_BANDS


@dataclass(frozen=True)
class BandStatistics:
    """Per band of the training samples: minimum, maximum and mean of what was observed, in the band's units."""

    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    mean: tuple[float, ...]

    def of(self, wanted: Sequence[str], bands: Sequence[str] = STACK_BANDS) -> BandStatistics:
        """The statistics of the ``wanted`` ones among ``bands``, in their order.

        Raises
        ------
        ValueError
            when a wanted band is not among them.
        """
        places = [list(bands).index(name) for name in wanted]
        return BandStatistics(*(tuple(values[i] for i in places) for values in (self.minimum, self.maximum, self.mean)))


STATISTICS = tuple(field.name for field in fields(BandStatistics))


class MinMaxNormalisation(nn.Module):
    """Min-max of the training samples (section 3.3.1), in float32; what was not observed becomes the samples' mean.

    ``forward``: (N, bands, rows, cols), NaN or infinite where not observed -> the same shape, about 0-1, finite.
    Values beyond the samples' range are cut at half a range outside it. ``kind`` is what the card says of it.
    """

    kind = "min-max of the training samples, inside the network; not observed = mean of the training samples"
    minimum: Tensor
    maximum: Tensor
    mean: Tensor

    def __init__(self, statistics: BandStatistics) -> None:
        super().__init__()
        for name in STATISTICS:
            self.register_buffer(name, torch.tensor(getattr(statistics, name), dtype=torch.float32).reshape(1, -1, 1, 1))

    def forward(self, stack: Tensor) -> Tensor:
        stack = stack.float()
        observed = torch.where(torch.isnan(stack) | torch.isinf(stack), self.mean, stack)
        return ((observed - self.minimum) / (self.maximum - self.minimum)).clamp(-0.5, 1.5)


class Network(nn.Module):
    """A family of networks. ``forward``: stack (N, bands, rows, cols), NaN where not observed -> logit (N, 1, rows, cols).

    A family is a subclass in a file of its own, with a frozen dataclass of options; it is built as
    ``Family(options, statistics, pretrained)``, where ``pretrained`` is False (random weights), True (ImageNet weights from
    where the backbone has them) or the file of a backbone's ImageNet weights.

    ``variants`` name -> options, the networks of the family that have a name; ``options`` this network's;
    ``bands`` the names of its input's channels in order; ``normalise`` takes the stack first.

    Raises
    ------
    ValueError
        when there are not as many statistics as bands.
    """

    variants: ClassVar[Mapping[str, Any]]

    def __init__(self, options: Any, statistics: BandStatistics, bands: Sequence[str] = STACK_BANDS) -> None:
        super().__init__()
        if len(statistics.mean) != len(bands):
            raise ValueError(f"the network reads {len(bands)} bands ({', '.join(bands)}); there are statistics of {len(statistics.mean)}")
        self.options = options
        self.bands = tuple(bands)
        self.normalise = MinMaxNormalisation(statistics)


def parameter_count(network: nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters())
