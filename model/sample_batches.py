"""Samples of a folder as batches, to train on and to validate on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.sample_files import Sample, SampleSet
from jobs import STACK_BANDS
from model.augmentation import ScaleAndCrop, mixed
from model.samples import UNKNOWN, Array, as_batch

REFLECTANCE_BANDS = 4
KEPT_BYTES = 1_000_000_000
"""Of decoded samples in memory, of all processes that load together."""


class Change(Protocol):
    """Makes of reflectance (4, rows, cols) and truth (rows, cols), 255 unknown, what the network sees, ``side`` pixels wide.

    ``cutmix``: share of the samples of a batch that get a rectangle of another one, see :func:`model.augmentation.mixed`.
    """

    @property
    def cutmix(self) -> float: ...

    def __call__(self, reflectance: Array, truth: NDArray[np.uint8], side: int, rng: np.random.Generator, /) -> tuple[Array, Array]: ...


class _Reader:
    """Samples of a folder; the first ones that were read stay in memory."""

    def __init__(self, samples: SampleSet, kept_bytes: int) -> None:
        self._samples, self._left = samples, kept_bytes
        self._kept: dict[str, tuple[Array, NDArray[np.uint8]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}

    def read(self, sample: Sample) -> tuple[Array, NDArray[np.uint8]]:
        """Reflectance (4, rows, cols) and mask (rows, cols)."""
        if sample.sample in self._kept:
            return self._kept[sample.sample]
        image, mask = self._samples.read(sample)
        read = np.ascontiguousarray(image[:REFLECTANCE_BANDS]), mask
        size = read[0].nbytes + mask.nbytes
        if size <= self._left:
            self._left -= size
            self._kept[sample.sample] = read
        return read


class SampleBatches:
    """The samples in a new order in each epoch, each once, changed at random. What is in a batch, seed and number say alone.

    The length is that of an epoch, in batches; samples that fill no batch are left for another epoch.

    Parameters
    ----------
    chosen : those to train on, rows of the table of ``samples``
    bands : of the network, among those of a stack
    side : pixels of what the network sees
    loaders : processes that load, which share the memory for decoded samples
    """

    def __init__(
        self,
        samples: SampleSet,
        chosen: Sequence[Sample],
        bands: Sequence[str],
        side: int,
        batch_size: int,
        change: Change,
        seed: int,
        loaders: int = 0,
    ) -> None:
        self._chosen, self._bands, self._side, self._size = tuple(chosen), tuple(bands), side, batch_size
        self._change, self._seed = change, seed
        self._reader = _Reader(samples, KEPT_BYTES // max(1, loaders))

    def __len__(self) -> int:
        return len(self._chosen) // self._size

    def __getitem__(self, number: int) -> tuple[Array, Array, Array]:
        rng = np.random.default_rng((self._seed, number, 1))
        samples = [self._change(*self._reader.read(sample), self._side, rng) for sample in self._of(number)]
        return as_batch(mixed(samples, self._change.cutmix, rng), self._bands)

    def names(self, number: int) -> list[str]:
        """The images of a batch."""
        return [sample.image for sample in self._of(number)]

    def _of(self, number: int) -> list[Sample]:
        epoch, place = divmod(number, len(self))
        order = np.random.default_rng((self._seed, epoch, 0)).permutation(len(self._chosen))
        return [self._chosen[i] for i in order[place * self._size : (place + 1) * self._size]]


class SampleTiles:
    """Whole samples, unchanged, as batches of tiles; each pixel counts once.

    A sample larger than ``side`` is cut into tiles that may overlap, and counts where it was not seen before; one that is smaller is
    mirrored at its edges. Those of ``resized``, when given, are its middle instead.

    Parameters
    ----------
    as of :class:`SampleBatches`
    """

    def __init__(
        self,
        samples: SampleSet,
        chosen: Sequence[Sample],
        bands: Sequence[str],
        side: int,
        batch_size: int,
        resized: ScaleAndCrop | None = None,
    ) -> None:
        self._bands, self._side, self._size, self._resized = tuple(bands), side, batch_size, resized
        self._reader = _Reader(samples, KEPT_BYTES // 4)
        self._tiles: list[tuple[Sample, int, int, int, int]] = []
        for sample in chosen:
            rows, columns = ([(0, 0)] if resized else _starts(size, side) for size in (sample.rows, sample.columns))
            self._tiles += [(sample, row, column, seen, left) for row, seen in rows for column, left in columns]

    def __len__(self) -> int:
        return math.ceil(len(self._tiles) / self._size)

    def __getitem__(self, number: int) -> tuple[Array, Array, Array]:
        return as_batch([self._tile(*tile) for tile in self._tiles[number * self._size : (number + 1) * self._size]], self._bands)

    def _tile(self, sample: Sample, row: int, column: int, seen: int, left: int) -> tuple[Array, Array]:
        reflectance, mask = self._reader.read(sample)
        if self._resized:
            return self._resized.middle(reflectance, mask, self._side)
        place = (slice(row, row + self._side), slice(column, column + self._side))
        truth = mask[place].astype(np.float32)
        truth[:seen] = truth[:, :left] = UNKNOWN
        beyond = [(0, self._side - size) for size in truth.shape]
        return (
            np.pad(reflectance[:, *place], [(0, 0), *beyond], mode="symmetric"),
            np.pad(truth, beyond, constant_values=UNKNOWN),
        )


def _starts(size: int, side: int) -> list[tuple[int, int]]:
    """Where tiles begin along a side of ``size`` pixels, and how many of their first pixels an earlier one has."""
    count = max(1, math.ceil(size / side))
    starts = np.linspace(0, max(0, size - side), count).round().astype(int).tolist()
    return [(start, max(0, before + side - start)) for start, before in zip(starts, [-side, *starts], strict=False)]


def observed_bands(samples: SampleSet) -> list[str]:
    """The bands that the samples show anywhere."""
    return [name for name, value in zip(STACK_BANDS, samples.mean, strict=True) if math.isfinite(value)]


def source_of(folder: Path, samples: SampleSet) -> list[dict[str, str]]:
    """What a card says of the samples that a network was trained on."""
    sources = sorted({sample.source for sample in samples.samples if sample.source})
    dates = sorted({sample.date for sample in samples.samples if sample.date})
    count = {split: len(samples.of_split(split)) for split in ("train", "validation")}
    what = f"{count['train']} samples to train and {count['validation']} to validate, recipe {samples.document.get('recipe', 'unknown')}"
    named = ", ".join(Path(source).name for source in sources[:5]) + (f" and {len(sources) - 5} more" if len(sources) > 5 else "")
    return [{"what": what, "source": named or folder.name, **({"dates": f"{dates[0]} to {dates[-1]}"} if dates else {})}]
