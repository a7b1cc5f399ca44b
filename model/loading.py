"""Batches by number, loaded by this process or by others, always the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from engine.errors import EngineError

Array = NDArray[np.float32]
IGNORED = 255
"""Truth of a pixel that does not count, for the metrics."""


class Batches(Protocol):
    """Batches by number: stack (N, bands, rows, cols), NaN where not observed; truth (N, 1, rows, cols), 1 rock glacier; weight (N, 1,
    rows, cols), 0 where a pixel does not count. The number alone says what is in one. They go to the processes that load them, so they
    can be pickled. Where they have a length, that many make an epoch; ``names(number)``, where there is one, tells the samples of a batch.
    """

    def __getitem__(self, number: int, /) -> tuple[Array, Array, Array]: ...


class CountedBatches(Batches, Sized, Protocol):
    """Batches of a length."""


class Loaded(Dataset[dict[str, Any]]):
    """Batches for a DataLoader."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __getitem__(self, number: int) -> dict[str, Any]:
        try:
            stack, truth, weight = self._batches[number]
        except EngineError as error:  # which would lose its code on the way from another process
            return {"error": (error.code, error.text)}
        arrays = {"stack": stack, "truth": truth, "weight": weight}
        return {"number": number, **{name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}}


class Numbers(Sampler[int]):
    """The numbers that ``numbers()`` gives at the beginning of an epoch."""

    def __init__(self, numbers: Callable[[], Iterator[int]]) -> None:
        self._numbers = numbers

    def __iter__(self) -> Iterator[int]:
        return self._numbers()


def as_loaded(item: dict[str, Any]) -> tuple[int, Tensor, Tensor, Tensor]:
    """Number, stack, truth and weight of what :class:`Loaded` gave; raises the error that loading met."""
    if "error" in item:
        raise EngineError(*item["error"])
    return int(item["number"]), item["stack"], item["truth"], item["weight"]
