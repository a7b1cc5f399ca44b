"""Batches to train on in tests; light, since every process that loads them imports this."""

from __future__ import annotations

import numpy as np

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


class Endless:
    """Batches whose truth is where the red band is bright; ``breaks_at`` a number stands for a kill while it is loaded."""

    def __init__(self, breaks_at: int | None = None, spoilt_at: int | None = None, same: bool = False, size: int = 4) -> None:
        self.breaks_at, self.spoilt_at, self.same, self.size = breaks_at, spoilt_at, same, size

    def __getitem__(self, number: int) -> Batch:
        if number == self.breaks_at:
            raise ZeroDivisionError
        rng = np.random.default_rng(0 if self.same else number)
        truth = np.kron(rng.random((self.size, 1, 4, 4)) < 0.3, np.ones((8, 8))).astype(np.float32)
        stack = rng.normal(0.2, 0.02, (self.size, 6, 32, 32)).astype(np.float32)
        stack[:, :1] += 0.5 * truth
        if number == self.spoilt_at:
            truth[:] = np.nan
        return stack, truth, np.ones_like(truth)

    def names(self, number: int) -> list[str]:
        return [f"sample-{number}"]


class InEpochs(Endless):
    """Four batches make an epoch."""

    def __len__(self) -> int:
        return 4


class LeftHalf(InEpochs):
    """The right half does not count; there, everything is ``truth``."""

    def __init__(self, truth: int) -> None:
        super().__init__()
        self.truth = truth

    def __getitem__(self, number: int) -> Batch:
        stack, truth, weight = super().__getitem__(number)
        weight[..., 16:] = 0
        truth[..., 16:] = self.truth
        return stack, truth, weight


class Nothing(InEpochs):
    """Without rock glaciers."""

    def __getitem__(self, number: int) -> Batch:
        stack, truth, weight = super().__getitem__(number)
        return stack, 0 * truth, weight
