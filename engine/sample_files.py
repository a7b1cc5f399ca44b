"""A folder of training samples: the files in it, and who reads and writes them. docs/samples.md describes it.

``samples.csv`` says everything of each sample; ``samples.json`` beside it holds what is true of all of them; ``samples.gpkg`` shows on a
map where they lie.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from engine import rasters
from engine.errors import EngineError
from engine.rasters import Grid
from engine.sample_layout import LEFT_OUT, Ground
from jobs import STACK_BANDS

FORMAT = 1
IMAGES, MASKS, TABLE, FOOTPRINTS, DOCUMENT = "images", "masks", "samples.csv", "samples.gpkg", "samples.json"
BACKGROUND, ROCK_GLACIER, UNKNOWN = 0, 1, 255
"""In a mask."""
SPLITS = ("train", "validation")
KINDS = ("positive", "negative")
OUTLINE, REJECTED, LOOK_ALIKE, RANDOM, CHIP = "outline", "rejected", "look-alike", "background", "chip"
HARD_NEGATIVE = "hard negative"
"""What a sample was made for."""


@dataclass(frozen=True)
class Sample:
    """A row of ``samples.csv``.

    ``image``, ``mask``: files, relative to the folder. ``kind``: positive where the mask holds rock glacier, else negative; ``made_for``:
    outline, rejected, look-alike, background, hard negative. ``date`` of the source (ISO 8601), ``outline`` and its ``status``,
    ``block``: empty where there are none or they are unknown. ``x``, ``y``: of the centre in ``crs``. ``rock_glacier``, ``unknown``:
    shares of the mask, 0-1.
    """

    sample: str
    image: str
    mask: str
    split: str
    kind: str
    made_for: str
    source: str
    date: str
    outline: str
    status: str
    block: str
    x: float | None
    y: float | None
    longitude: float | None
    latitude: float | None
    crs: str
    pixel_size_m: float | None
    rows: int
    columns: int
    rock_glacier: float
    unknown: float


@dataclass(frozen=True)
class MinedSample(Sample):
    """A row of ``samples.csv`` where hard negatives were added: ``round`` in which (0: not mined), ``wrongness`` in square metres."""

    round: int = 0
    wrongness: float = 0.0


@dataclass(frozen=True)
class SampleSet:
    """A folder of samples.

    ``samples`` the rows of its table; ``minimum``, ``maximum``, ``mean`` (6,) of each band of :data:`jobs.STACK_BANDS` over all
    samples, NaN for one that is nowhere observed; ``document`` what ``samples.json`` says.
    """

    folder: Path
    samples: tuple[Sample, ...]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean: NDArray[np.float64]
    document: dict[str, Any]

    def of_split(self, split: str) -> tuple[Sample, ...]:
        """Those of ``train`` or ``validation``."""
        return tuple(sample for sample in self.samples if sample.split == split)

    def read(self, sample: Sample) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Image (6, rows, columns), NaN where not observed, and mask (rows, columns): 1 rock glacier, 0 background, 255 unknown.

        Raises
        ------
        EngineError
            ``truncated_file``; ``mask_size`` when image and mask differ in size.
        """
        with opened(self.folder / sample.image) as image, opened(self.folder / sample.mask) as mask:
            pixels = rasters.read(image, list(range(1, len(STACK_BANDS) + 1))).astype(np.float32)
            labels = rasters.read(mask, [1])[0].astype(np.uint8)
        if pixels.shape[1:] != labels.shape:
            raise EngineError("mask_size", f"{sample.image} and {sample.mask} in {self.folder} differ in size. Make the samples again.")
        return pixels, labels


def read_samples(folder: str | Path, kind: type[Sample] = Sample) -> SampleSet:
    """The samples that :func:`engine.samples.samples` wrote.

    Parameters
    ----------
    kind : of the rows, which may have more columns than every table of samples has

    Raises
    ------
    EngineError
        ``not_samples`` when the folder holds none, or their files are not all there.
    """
    place = Path(folder)
    try:
        with open(place / TABLE, newline="", encoding="utf-8") as file:
            found = tuple(_from_row(row, kind) for row in csv.DictReader(file))
        document = json.loads((place / DOCUMENT).read_text(encoding="utf-8"))
        bands = [document["bands"][name] for name in STACK_BANDS]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise EngineError(
            "not_samples", f"{folder} is no folder of training samples. Make it with Prepare training samples. ({error})"
        ) from error
    missing = [name for sample in found for name in (sample.image, sample.mask) if not (place / name).is_file()]
    if missing:
        raise EngineError("not_samples", f"{len(missing)} files of {folder} are missing, {missing[0]} the first. Make the samples again.")
    figures = {name: np.array([band[name] for band in bands], dtype=np.float64) for name in ("minimum", "maximum", "mean")}
    return SampleSet(place, found, **figures, document=document)


def _from_row(row: dict[str, str], kind: type[Sample]) -> Sample:
    values: dict[str, Any] = {}
    for column in dataclasses.fields(kind):
        text = row[column.name]
        if "float" in str(column.type):
            values[column.name] = float(text) if text else None
        else:
            values[column.name] = int(text) if column.type == "int" else text
    return kind(**values)


@dataclass
class Statistics:
    """Of the bands (6,): ``minimum``, ``maximum``, ``total`` of what was observed, in ``count`` pixels."""

    minimum: NDArray[np.float64] = field(default_factory=lambda: np.full(len(STACK_BANDS), np.inf))
    maximum: NDArray[np.float64] = field(default_factory=lambda: np.full(len(STACK_BANDS), -np.inf))
    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(STACK_BANDS)))
    count: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(STACK_BANDS), np.int64))

    @classmethod
    def of(cls, image: NDArray[np.float32]) -> Statistics:
        """Those of an image (6, rows, columns)."""
        known = np.isfinite(image)
        return cls(
            np.where(known, image, np.inf).min(axis=(1, 2)).astype(np.float64),
            np.where(known, image, -np.inf).max(axis=(1, 2)).astype(np.float64),
            np.where(known, image, 0.0).sum(axis=(1, 2), dtype=np.float64),
            known.sum(axis=(1, 2)),
        )

    @classmethod
    def of_bands(cls, bands: dict[str, dict[str, Any]]) -> Statistics:
        """What :meth:`by_band` told."""
        count = np.array([bands[name]["pixels"] for name in STACK_BANDS], dtype=np.int64)
        minimum, maximum, mean = (
            np.array([bands[name][figure] if bands[name]["pixels"] else nothing for name in STACK_BANDS], dtype=np.float64)
            for figure, nothing in (("minimum", np.inf), ("maximum", -np.inf), ("mean", 0.0))
        )
        return cls(minimum, maximum, mean * count, count)

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            self.total + other.total,
            self.count + other.count,
        )

    def by_band(self) -> dict[str, dict[str, float | None]]:
        """Per band of a stack, None where it is nowhere observed."""
        return {
            name: {
                "minimum": self.minimum[i] if self.count[i] else None,
                "maximum": self.maximum[i] if self.count[i] else None,
                "mean": self.total[i] / self.count[i] if self.count[i] else None,
                "pixels": int(self.count[i]),
            }
            for i, name in enumerate(STACK_BANDS)
        }


@dataclass(frozen=True)
class Cut:
    """A sample as it was cut: its row, and what the split and the figures need.

    ``outlines``: the rock glaciers in it, by number; ``ground``: its footprint and the CRS that it is in, None of a chip; ``cell``:
    coordinate system, row and column of its square in the recipe ``blocks``.
    """

    row: Sample
    statistics: Statistics
    outlines: frozenset[int] = frozenset()
    ground: Ground | None = None
    cell: tuple[int, int, int] = (0, 0, 0)

    @property
    def is_positive(self) -> bool:
        """True where the mask holds rock glacier."""
        return self.row.kind == KINDS[0]

    def with_row(self, **values: Any) -> Cut:
        """The same with other values in its row."""
        return replace(self, row=replace(self.row, **values))


def on_their_sides(cuts: Sequence[Cut], sides: NDArray[np.int8], folder: Path) -> tuple[list[Cut], int]:
    """The samples that stay, each with its split, and how many were left out: their files are removed."""
    for cut, side in zip(cuts, sides, strict=True):
        if side == LEFT_OUT:
            for name in (cut.row.image, cut.row.mask):
                (folder / name).unlink()
    kept = [cut.with_row(split=SPLITS[side]) for cut, side in zip(cuts, sides, strict=True) if side != LEFT_OUT]
    return kept, len(cuts) - len(kept)


def write_sample(folder: Path, name: str, grid: Grid, image: NDArray[np.float32], mask: NDArray[np.uint8]) -> None:
    """Image (6, rows, columns) and mask (rows, columns) of a sample as GeoTIFF."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasters.write_geotiff(folder / IMAGES / f"{name}.tif", grid, STACK_BANDS) as dataset:
            dataset.write(image)
        write_mask(folder / MASKS / f"{name}.tif", grid, mask)


def write_mask(path: Path, grid: Grid, mask: NDArray[np.uint8]) -> None:
    """A mask (rows, columns) as GeoTIFF."""
    with rasters.write_geotiff(path, grid, ("rock glacier",), "uint8", UNKNOWN) as dataset:
        dataset.write(mask, 1)


def described_mask(mask: NDArray[np.uint8]) -> dict[str, Any]:
    """``kind`` and the shares ``rock_glacier`` and ``unknown`` of a mask, as a row of the table has them."""
    rock_glacier, unknown = float((mask == ROCK_GLACIER).mean()), float((mask == UNKNOWN).mean())
    return {"kind": "positive" if rock_glacier else "negative", "rock_glacier": round(rock_glacier, 6), "unknown": round(unknown, 6)}


def located(path: str) -> str:
    """How a table names a file: absolute, or as it is where it is no file of this machine."""
    return str(Path(path).absolute()) if Path(path).exists() else path


@contextmanager
def opened(path: Path) -> Iterator[DatasetReader]:
    """An image or a mask of a sample, which may have no place on the map."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(path)
    except rasterio.errors.RasterioIOError as error:
        raise EngineError("truncated_file", f"{path} cannot be read: it is damaged. Make the samples again. ({error})") from error
    with dataset:
        yield dataset
