"""Training samples: images and masks cut from spectral stacks and outlines, split without shared ground, and one table of them.

``samples.csv`` is that table; ``samples.json`` beside it holds what is true of all samples, ``samples.gpkg`` shows on a map where they lie.
docs/samples.md describes both and the recipes.

Source
------
Lin et al. (2024), section 3.3.1; Hu et al. (2023), section 3.2.1.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from engine import __version__, rasters
from engine.columns import texts
from engine.errors import EngineError
from engine.outline_names import outline_names
from engine.outputs import whole_folder
from engine.rasters import PASSPORT, Grid
from engine.reporting import Reporter, StagedReporter
from engine.sample_layout import (
    HU_LARGEST,
    LEFT_OUT,
    PAPER_SIDE_M,
    TRAIN,
    Lattice,
    Place,
    block_of,
    block_sample_side,
    box_around,
    choose_groups,
    patches_around,
    samples_per_block,
    shared_ground,
    shared_outlines,
    split_apart,
)
from engine.stack import NEEDED_BY, Channels, check_stack, read_channels
from engine.terminal import plain
from engine.vectors import PolygonLayer, read_outlines, reproject, write_polygons
from jobs import STACK_BANDS, SamplesJob
from review_session import POSITIVE, STATUSES

FORMAT = 1
IMAGES, MASKS, TABLE, FOOTPRINTS, DOCUMENT = "images", "masks", "samples.csv", "samples.gpkg", "samples.json"
BACKGROUND, ROCK_GLACIER, UNKNOWN = 0, 1, 255
"""In a mask."""
SPLITS = ("train", "validation")
KINDS = ("positive", "negative")
OUTLINE, REJECTED, LOOK_ALIKE, RANDOM = "outline", "rejected", "look-alike", "background"
"""What a sample was made for."""

LEAST_OBSERVED = 0.5
"""Share of its pixels that a sample without rock glaciers must show."""
FRUITLESS_DRAWS = 1000
"""Random places in a row that do for no background; then there is no room left."""
SAME_RESOLUTION = 0.01

DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(?!\d)")
DATE_TAGS = ("ACQUISITION", "SENSING", "PRODUCT_START_TIME", "IMAGERY_DATE")


@dataclass(frozen=True)
class Recipe:
    """What a job leaves open.

    ``resolution`` in metres, 0 = that of the stacks; ``validation_share`` 0-1; ``background`` negative samples for each positive one.
    """

    resolution: float
    validation_share: float
    background: float


RECIPES = {"blocks": Recipe(0.0, 0.2, 1.0), "paper": Recipe(4.0, 0.2, 1353 / 542), "hu": Recipe(10.0, 0.1, 1.0)}


@dataclass(frozen=True)
class Sample:
    """A row of ``samples.csv``.

    ``image``, ``mask``: files, relative to the folder. ``kind``: positive where the mask holds rock glacier, else negative; ``made_for``:
    outline, rejected, look-alike, background. ``date`` of the source (ISO 8601), ``outline`` and its ``status``, ``block``: empty where
    there are none or they are unknown. ``x``, ``y``: of the centre in ``crs``. ``rock_glacier``, ``unknown``: shares of the mask, 0-1.
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
        with _opened(self.folder / sample.image) as image, _opened(self.folder / sample.mask) as mask:
            pixels = rasters.read(image, list(range(1, len(STACK_BANDS) + 1))).astype(np.float32)
            labels = rasters.read(mask, [1])[0].astype(np.uint8)
        if pixels.shape[1:] != labels.shape:
            raise EngineError("mask_size", f"{sample.image} and {sample.mask} in {self.folder} differ in size. Make the samples again.")
        return pixels, labels


def read_samples(folder: str | Path) -> SampleSet:
    """The samples that :func:`samples` wrote.

    Raises
    ------
    EngineError
        ``not_samples`` when the folder holds none, or their files are not all there.
    """
    place = Path(folder)
    try:
        with open(place / TABLE, newline="", encoding="utf-8") as file:
            found = tuple(_from_row(row) for row in csv.DictReader(file))
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


def _from_row(row: dict[str, str]) -> Sample:
    values: dict[str, Any] = {}
    for column in dataclasses.fields(Sample):
        text = row[column.name]
        if "float" in str(column.type):
            values[column.name] = float(text) if text else None
        else:
            values[column.name] = int(text) if column.type == "int" else text
    return Sample(**values)


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

    ``outlines``: the rock glaciers in it, by number; ``grid`` and the ``place`` in its pixels: None of a chip; ``cell``: coordinate
    system, row and column of its square in the recipe ``blocks``.
    """

    row: Sample
    statistics: Statistics
    outlines: frozenset[int] = frozenset()
    grid: Grid | None = None
    place: Place | None = None
    cell: tuple[int, int, int] = (0, 0, 0)

    @property
    def is_positive(self) -> bool:
        """True where the mask holds rock glacier."""
        return self.row.kind == KINDS[0]

    @property
    def crs(self) -> CRS:
        """Of its grid."""
        return CRS.from_wkt(self._on_ground[0].crs.to_wkt())

    @property
    def footprint(self) -> shapely.Polygon:
        """Its ground in map units of its grid."""
        grid, place = self._on_ground
        return place.footprint(grid)

    @property
    def _on_ground(self) -> tuple[Grid, Place]:
        if self.grid is None or self.place is None:
            raise ValueError("a chip has no place on the map")
        return self.grid, self.place

    def with_row(self, **values: Any) -> Cut:
        """The same with other values in its row."""
        return replace(self, row=replace(self.row, **values))


class Maker(Protocol):
    """Makes the samples of a job in a folder: from stacks (:class:`Cutter`) or from chips.

    ``left_out``: reason -> how many samples were not made or not kept; ``resolution``: metres, None where unknown.
    """

    left_out: Counter[str]
    resolution: float | None

    def cut(self, reporter: Reporter) -> list[Cut]:
        """Write images and masks, one at a time."""

    def split(self, cuts: list[Cut], share: float, random: np.random.Generator) -> list[Cut]:
        """Those that stay, each with its side; files of the others are removed."""

    def described(self) -> dict[str, Any]:
        """What ``samples.json`` says about the source."""


def samples(job: SamplesJob, reporter: Reporter) -> dict[str, Any]:
    """Make a folder of training samples.

    One sample is in memory at a time. The folder appears when all is written, or not at all.

    Returns
    -------
    ``output``, ``count``, ``train``, ``validation``, ``positive``, ``negative``, ``left_out`` (reason -> count), ``recipe``,
    ``resolution_m`` (None for chips), ``contact_sheet``

    Raises
    ------
    EngineError
        ``not_a_stack``, ``outside_imagery``, ``no_rock_glaciers``, ``no_samples``; those of
        :func:`engine.rasters.open_raster`, :func:`engine.vectors.read_polygons`, :func:`engine.outputs.whole_folder`; Cancelled.

    Source
    ------
    Lin et al. (2024), section 3.3.1; Hu et al. (2023), section 3.2.1.
    """
    recipe = RECIPES[job.recipe]
    share = recipe.validation_share if job.validation_share is None else job.validation_share
    with ExitStack() as outputs:
        folder = outputs.enter_context(whole_folder(job.output, TABLE))
        for name in (IMAGES, MASKS):
            (folder / name).mkdir()
        maker: Maker = Cutter(job, recipe, folder, reporter)
        cuts = maker.cut(StagedReporter(reporter, 0.05, 0.9))
        reporter.progress(0.9, "Splitting")
        kept = maker.split(cuts, share, np.random.default_rng(job.seed))
        if not kept:
            raise EngineError("no_samples", "No sample came about: the outlines lie where the stacks show nothing. Check both on the map.")
        document = _document(job, kept, maker, share)
        _write_tables(folder, kept, document)
        for code, text in _what_lacks(document["counts"], share):
            reporter.warning(code, text)
        reporter.progress(0.99, "Writing the table")
    reporter.progress(1.0, f"{len(kept)} samples")
    by_kind = Counter(cut.row.kind for cut in kept)
    by_split = Counter(cut.row.split for cut in kept)
    return {
        "output": job.output,
        "count": len(kept),
        **{name: by_split[name] for name in SPLITS},
        **{name: by_kind[name] for name in ("positive", "negative")},
        "left_out": dict(maker.left_out),
        "recipe": job.recipe,
        "resolution_m": maker.resolution,
        "contact_sheet": job.contact_sheet,
    }


@dataclass(frozen=True)
class Stack:
    """A spectral stack: ``grid`` that its samples are on, ``channels`` to read, ``crs``."""

    path: str
    date: str
    grid: Grid
    channels: Channels
    crs: CRS


@dataclass(frozen=True)
class Labels:
    """What is known about the ground: outlines (n,) in one CRS.

    ``value`` (n,) ROCK_GLACIER, BACKGROUND (rejected) or UNKNOWN; ``names``, ``status`` (n,) text, empty where there is none.
    """

    geometries: NDArray[np.object_]
    value: NDArray[np.uint8]
    names: NDArray[np.object_]
    status: NDArray[np.object_]
    tree: shapely.STRtree

    @classmethod
    def of(cls, layer: PolygonLayer, reporter: Reporter) -> Labels:
        """Outlines with what their field ``status`` says, where they have one."""
        fields = {name.lower(): values for name, values in layer.fields.items()}
        status = np.full(len(layer), "", dtype=object)
        value = np.full(len(layer), ROCK_GLACIER, np.uint8)
        if "status" in fields:
            said = np.array([text or "" for text in texts(fields["status"])], dtype=object)
            if np.isin(said, STATUSES).any():
                status = said
                value = np.select([np.isin(said, POSITIVE), said == "rejected"], [ROCK_GLACIER, BACKGROUND], UNKNOWN).astype(np.uint8)
            elif len(said):
                reporter.info(
                    f"The field status holds nothing that a review says ({', '.join(STATUSES)}): every outline is a rock glacier."
                )
        names = texts(fields["uid"]) if "uid" in fields else outline_names(layer, "", reporter).astype(object)
        return cls(layer.geometries, value, names, status, shapely.STRtree(layer.geometries))

    def in_crs(self, source: CRS, target: CRS) -> Labels:
        """The same in another CRS."""
        geometries = self.geometries if source == target else reproject(self.geometries, source, target)
        return replace(self, geometries=geometries, tree=shapely.STRtree(geometries))

    def within(self, ground: shapely.Geometry) -> NDArray[np.intp]:
        """Numbers of the outlines that share ground with a polygon."""
        near = self.tree.query(ground, predicate="intersects")
        return np.sort(near[shapely.area(shapely.intersection(self.geometries[near], ground)) > 0])

    def is_free(self, ground: shapely.Geometry) -> bool:
        """True where there is neither rock glacier nor what is unknown."""
        return bool((self.value[self.within(ground)] == BACKGROUND).all())

    def mask(self, grid: Grid, place: Place, unknown: Iterable[int] = ()) -> NDArray[np.uint8]:
        """(rows, columns) by the centres of the pixels; rock glaciers lie over what is unknown, and that over background.

        ``unknown``: numbers of outlines to take for unknown.
        """
        here = self.within(place.footprint(grid))
        value = np.where(np.isin(here, list(unknown)), UNKNOWN, self.value[here])
        shapes = [(self.geometries[i], label) for label in (UNKNOWN, ROCK_GLACIER) for i in here[value == label]]
        if not shapes:
            return np.zeros((place.rows, place.columns), np.uint8)
        return np.asarray(rasterize(shapes, (place.rows, place.columns), transform=_transform(grid, place), dtype="uint8"))


class Cutter:
    """Cuts samples out of stacks into a folder, one at a time; see :class:`Maker`.

    ``size``: pixels along a sample's side; ``block_samples``: samples along a block's, 0 where there are no blocks; ``rock_glaciers``
    outlines that are such, ``outside`` how many of them lie on no stack; ``on_both_sides`` those that the split runs through.
    """

    def __init__(self, job: SamplesJob, recipe: Recipe, folder: Path, reporter: Reporter) -> None:
        self._job, self._recipe, self._folder, self._reporter = job, recipe, folder, reporter
        self._random = np.random.default_rng((job.seed, 1))
        self.left_out: Counter[str] = Counter()
        self._count = self.outside = self.block_samples = 0
        self.on_both_sides: set[int] = set()
        outlines = read_outlines(str(job.outlines), job.outlines_layer, reporter)
        self._labels = Labels.of(outlines, reporter)
        self.rock_glaciers = int((self._labels.value == ROCK_GLACIER).sum())
        if not self.rock_glaciers:
            raise EngineError(
                "no_rock_glaciers", f"{job.outlines} holds no outline that is a rock glacier: there is nothing to learn from."
            )
        look_alikes = read_outlines(job.negatives, job.negatives_layer, reporter) if job.negatives else None
        reporter.progress(0.02, "Looking at the stacks")
        self.stacks, self._pixel = _look_at(job.stacks, recipe.resolution if job.resolution is None else job.resolution, reporter)
        self.resolution: float | None = round(self._pixel, 6)
        self.size = job.size or _side(job.recipe, self._pixel)
        self._by_crs = {stack.crs: self._labels.in_crs(outlines.crs, stack.crs) for stack in self.stacks}
        self._look_alikes = {
            stack.crs: np.empty(0, object) if look_alikes is None else look_alikes.in_crs(stack.crs).geometries for stack in self.stacks
        }
        origins: dict[CRS, tuple[float, float]] = {}
        self._lattices = [
            Lattice.of(stack.grid, origins.setdefault(stack.crs, (stack.grid.transform.c, stack.grid.transform.f)), self.size)
            for stack in self.stacks
        ]
        self._systems = list(origins)
        self._taken: list[list[Place]] = [[] for _ in self.stacks]

    def cut(self, reporter: Reporter) -> list[Cut]:
        """All samples."""
        places = [self._places(number) for number in range(len(self.stacks))]
        self._check_ground(places)
        cuts: list[Cut] = []
        laid_out = sum(map(len, places))
        for number, there in enumerate(places):
            for cut in self._cut_places(number, there):
                cuts.append(cut)
                reporter.progress(0.7 * min(len(cuts) / laid_out, 1.0), f"Cutting sample {len(cuts)}")
        positives = sum(cut.is_positive for cut in cuts)
        ratio = self._recipe.background if self._job.background is None else self._job.background
        need = max(0, round(ratio * positives) - (len(cuts) - positives))
        wanted = need
        streams = {number: self._background(number) for number in range(len(self.stacks))}
        while need and streams:
            area = np.array([self.stacks[number].grid.width * self.stacks[number].grid.height for number in streams], np.float64)
            for number, quota in zip(list(streams), self._random.multinomial(need, area / area.sum()), strict=True):
                found = 0
                for cut in islice(self._cut_places(number, streams[number]), int(quota)):
                    cuts.append(cut)
                    found += 1
                    reporter.progress(0.7 + 0.3 * (1 - (need - found) / wanted), f"Cutting sample {len(cuts)}")
                if found < quota:
                    del streams[number]
                need -= found
        if need:
            reporter.info(f"There is room for {wanted - need} of {wanted} random samples of background.")
        return cuts

    def _places(self, number: int) -> list[Place]:
        """Where samples of a stack are wanted for outlines, rejected ones and look-alikes."""
        stack, labels = self.stacks[number], self._by_crs[self.stacks[number].crs]
        extent = shapely.box(*stack.grid.bounds)
        here = np.sort(labels.tree.query(extent, predicate="intersects"))
        wanted = [(labels.geometries[i], OUTLINE, int(i)) for i in here if labels.value[i] == ROCK_GLACIER]
        wanted += [(labels.geometries[i], REJECTED, int(i)) for i in here if labels.value[i] == BACKGROUND]
        wanted += [(shape, LOOK_ALIKE, i) for i, shape in enumerate(self._look_alikes[stack.crs]) if shape.intersects(extent)]
        if self._job.recipe == "blocks":
            lattice = self._lattices[number]
            cells: dict[tuple[int, int], Place] = {}
            for geometry, made_for, index in wanted:
                for cell in lattice.cells_of(geometry if made_for == OUTLINE else geometry.representative_point().buffer(self._pixel / 2)):
                    cells.setdefault(cell, lattice.place(cell, made_for, index))
            return list(cells.values())
        if self._job.recipe == "hu":
            return [place for wish in wanted for place in patches_around(stack.grid, wish[0], self.size, *wish[1:])]
        return [place for wish in wanted if (place := box_around(stack.grid, wish[0], self.size, *wish[1:])) is not None]

    def _check_ground(self, places: list[list[Place]]) -> None:
        covered = {place.index for there in places for place in there if place.made_for == OUTLINE}
        if self._job.recipe == "blocks":  # a cell is named for one of its outlines
            covered = {
                int(i)
                for stack in self.stacks
                for i in self._by_crs[stack.crs].tree.query(shapely.box(*stack.grid.bounds), predicate="intersects")
                if self._labels.value[i] == ROCK_GLACIER
            }
        self.outside = self.rock_glaciers - len(covered)
        if not covered:
            raise EngineError(
                "outside_imagery",
                f"None of the {self.rock_glaciers} outlines of {self._job.outlines} lies on a stack. Give the stacks of the same ground, "
                "and check the coordinate reference systems of both.",
            )
        if self.outside:
            self._reporter.warning(
                "outside_imagery", f"{self.outside} of {self.rock_glaciers} outlines lie outside the stacks and were left out."
            )

    def _background(self, number: int) -> Iterator[Place]:
        """Random places of a stack that hold neither rock glacier nor anything unknown, nor lie on another sample of the stack."""
        grid, labels = self.stacks[number].grid, self._by_crs[self.stacks[number].crs]
        if self._job.recipe == "blocks":
            lattice, used = self._lattices[number], {place.block for place in self._taken[number]}
            free = [cell for cell in lattice.cells() if cell not in used]
            for i in self._random.permutation(len(free)):
                place = lattice.place(free[i], RANDOM, -1)
                if labels.is_free(place.footprint(grid)):
                    yield place
            return
        rows, columns = min(self.size, grid.height), min(self.size, grid.width)
        fruitless = 0
        while fruitless < FRUITLESS_DRAWS:
            row, column = (int(self._random.integers(length + 1)) for length in (grid.height - rows, grid.width - columns))
            place = Place(row, column, rows, columns, RANDOM, -1, None, self.size**2 if self._job.recipe == "paper" else rows * columns)
            fruitless += 1
            if not any(_overlap(place, other) for other in self._taken[number]) and labels.is_free(place.footprint(grid)):
                fruitless = 0
                self._taken[number].append(place)
                yield place

    def _cut_places(self, number: int, places: Iterable[Place]) -> Iterator[Cut]:
        """The samples of a stack that show enough."""
        stack = self.stacks[number]
        labels = self._by_crs[stack.crs]
        with rasters.open_raster(stack.path) as dataset, rasters.on_grid(dataset, stack.grid) as source:
            for place in places:
                self._reporter.check_cancelled()
                image = _read(source, stack, place)
                seen = np.isfinite(image[:3]).all(axis=0)
                mask = np.where(seen, labels.mask(stack.grid, place), UNKNOWN).astype(np.uint8)
                is_positive = bool((mask == ROCK_GLACIER).any())
                if not is_positive and (
                    seen.sum() < LEAST_OBSERVED * place.whole or (self._job.recipe == "paper" and place.made_for == OUTLINE)
                ):
                    if place.made_for != RANDOM:
                        self.left_out["not observed"] += 1
                    continue
                self._taken[number].append(place)
                yield self._write(number, place, image, mask)

    def _write(self, number: int, place: Place, image: NDArray[np.float32], mask: NDArray[np.uint8]) -> Cut:
        stack = self.stacks[number]
        labels = self._by_crs[stack.crs]
        self._count += 1
        name = f"{self._count:06d}"
        here = Grid(stack.grid.crs, _transform(stack.grid, place), place.columns, place.rows)
        write_sample(self._folder, name, here, image, mask)
        x, y = here.transform @ (place.columns / 2, place.rows / 2)
        longitude, latitude = Transformer.from_crs(stack.crs, 4326, always_xy=True).transform(x, y)
        is_of_outline = place.made_for in (OUTLINE, REJECTED)
        row = Sample(
            sample=name,
            image=f"{IMAGES}/{name}.tif",
            mask=f"{MASKS}/{name}.tif",
            split="",
            made_for=place.made_for,
            source=stack.path,
            date=stack.date,
            outline=str(labels.names[place.index]) if is_of_outline else "",
            status=str(labels.status[place.index]) if is_of_outline else "",
            block="",
            x=round(x, 3),
            y=round(y, 3),
            longitude=round(longitude, 6),
            latitude=round(latitude, 6),
            crs=rasters.crs_name(stack.grid.crs),
            pixel_size_m=self.resolution,
            rows=place.rows,
            columns=place.columns,
            **described_mask(mask),
        )
        held = labels.within(place.footprint(stack.grid))
        cell = (self._systems.index(stack.crs), *(place.block or (0, 0)))
        return Cut(row, Statistics.of(image), frozenset(held[labels.value[held] == ROCK_GLACIER].tolist()), stack.grid, place, cell)

    def _hidden(self, cut: Cut) -> Cut:
        """The sample with the outlines that lie on both sides made unknown in its mask."""
        path = self._folder / cut.row.mask
        with _opened(path) as dataset:
            before, here = rasters.read(dataset, [1])[0], Grid.of(dataset)
        labelled = self._by_crs[cut.crs].mask(*cut._on_ground, self.on_both_sides)
        mask = np.where(before == UNKNOWN, UNKNOWN, labelled).astype(np.uint8)
        path.unlink()
        _write_mask(path, here, mask)
        return cut.with_row(**described_mask(mask))

    def split(self, cuts: list[Cut], share: float, random: np.random.Generator) -> list[Cut]:
        """See :class:`Maker`."""
        positive = np.array([cut.is_positive for cut in cuts], dtype=bool)
        ground = shared_ground([cut.footprint for cut in cuts], [cut.crs for cut in cuts], self._pixel**2)
        if self._job.recipe != "blocks":
            sides = split_apart(ground | shared_outlines([cut.outlines for cut in cuts]), positive, share, random)
            return self._put_aside(cuts, sides)
        cells = np.array([cut.cell for cut in cuts], dtype=np.intp).reshape(-1, 3)
        self.block_samples = samples_per_block(cells, positive, share)
        blocks, block = np.unique(block_of(cells, self.block_samples), axis=0, return_inverse=True)
        sides = choose_groups(block.ravel(), positive, share, random)
        for one, other in ground:  # stacks of two zones, or whose pixels lie between each other's
            if sides[one] != sides[other]:
                sides[one if sides[one] == TRAIN else other] = LEFT_OUT
        names = ["_".join(map(str, name)) for name in blocks]
        kept = self._put_aside([cut.with_row(block=names[number]) for cut, number in zip(cuts, block.ravel(), strict=True)], sides)
        held = [{outline for cut in kept if cut.row.split == name for outline in cut.outlines} for name in SPLITS]
        if not held[0] - held[1]:  # training would be left with nothing
            return [cut.with_row(split=SPLITS[TRAIN]) for cut in kept]
        self.on_both_sides = held[0] & held[1]
        return [self._hidden(cut) if cut.row.split == SPLITS[TRAIN] and cut.outlines & self.on_both_sides else cut for cut in kept]

    def _put_aside(self, cuts: list[Cut], sides: NDArray[np.int8]) -> list[Cut]:
        for cut, side in zip(cuts, sides, strict=True):
            if side == LEFT_OUT:
                self.left_out["shared ground"] += 1
                for name in (cut.row.image, cut.row.mask):
                    (self._folder / name).unlink()
        return [cut.with_row(split=SPLITS[side]) for cut, side in zip(cuts, sides, strict=True) if side != LEFT_OUT]

    def described(self) -> dict[str, Any]:
        """See :class:`Maker`."""
        value = self._labels.value
        return {
            "stacks": [
                {
                    "path": stack.path,
                    "date": stack.date or None,
                    "crs": rasters.crs_name(stack.grid.crs),
                    "without": list(stack.channels.absent),
                }
                for stack in self.stacks
            ],
            "outlines": {
                "path": self._job.outlines,
                "layer": self._job.outlines_layer,
                "rock_glaciers": self.rock_glaciers,
                "rejected": int((value == BACKGROUND).sum()),
                "unknown": int((value == UNKNOWN).sum()),
                "outside": self.outside,
                "on_both_sides": len(self.on_both_sides),
            },
            "negatives": self._job.negatives,
            "size": self.size,
            "block_m": round(self.block_samples * self.size * self._pixel, 3) if self.block_samples else None,
        }


def write_sample(folder: Path, name: str, grid: Grid, image: NDArray[np.float32], mask: NDArray[np.uint8]) -> None:
    """Image (6, rows, columns) and mask (rows, columns) of a sample as GeoTIFF."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasters.write_geotiff(folder / IMAGES / f"{name}.tif", grid, STACK_BANDS) as dataset:
            dataset.write(image)
        _write_mask(folder / MASKS / f"{name}.tif", grid, mask)


def _write_mask(path: Path, grid: Grid, mask: NDArray[np.uint8]) -> None:
    with rasters.write_geotiff(path, grid, ("rock glacier",), "uint8", UNKNOWN) as dataset:
        dataset.write(mask, 1)


def _look_at(paths: Iterable[str], resolution: float, reporter: Reporter) -> tuple[list[Stack], float]:
    """The stacks on the grids that samples are taken from, and the pixel size in metres: the coarsest where none is given."""
    found: list[tuple[str, str, Grid, Channels]] = []
    for path in dict.fromkeys(paths):
        with rasters.open_raster(path) as dataset:
            channels = _channels(dataset)
            check_stack(dataset, channels, "")
            found.append((path, _date(dataset), Grid.of(dataset), channels))
        reporter.check_cancelled()
    own = [rasters.working_grid(grid)[0].resolution for _, _, grid, _ in found]
    if not resolution:
        resolution = max(own)
        if resolution > (1 + SAME_RESOLUTION) * min(own):
            reporter.warning(
                "resolutions_differ",
                f"The stacks have pixels of {min(own):g} to {resolution:g} m; all samples get {resolution:g} m. "
                "Give a resolution to choose another.",
            )
    elif resolution < min(own) / 2:
        reporter.warning(
            "finer_than_stack", f"Samples of {resolution:g} m from pixels of {min(own):g} m: interpolation adds no detail, only size."
        )
    without = [path for path, _, _, channels in found if channels.absent]
    if without and len(without) < len(found):
        reporter.warning(
            "bands_differ",
            f"{len(without)} of {len(found)} stacks have no near-infrared band, {without[0]} the first: nir, EVI and SAVI of their samples "
            "are not observed. A network that needs them cannot be trained on these.",
        )
    stacks = []
    for path, date, own_grid, channels in found:
        grid = rasters.working_grid(own_grid, resolution)[0]
        stacks.append(Stack(path, date, grid, channels, CRS.from_wkt(grid.crs.to_wkt())))
    return stacks, resolution


def _channels(dataset: DatasetReader) -> Channels:
    """The six bands of a stack; indices are computed and near-infrared is absent where it has none."""
    names = [(description or "").strip().lower() for description in dataset.descriptions]
    numbers = {name: names.index(name) + 1 for name in names if name in STACK_BANDS}
    if not {"red", "green", "blue"} <= set(numbers):
        raise EngineError(
            "not_a_stack",
            f"{dataset.name} is no spectral stack: its {dataset.count} bands are not named red, green and blue. "
            "Run Prepare spectral stack on it first.",
        )
    computed = tuple(name for name in NEEDED_BY if name not in numbers and all(band in numbers for band in NEEDED_BY[name]))
    absent = tuple(name for name in STACK_BANDS if name not in numbers and name not in computed)
    return Channels(STACK_BANDS, numbers, computed, absent, ("red", "green", "blue"))


def _date(dataset: DatasetReader) -> str:
    """The date that a stack's tags, its scene's name or its own name tell, ISO 8601; empty where they tell none."""
    passport = dataset.tags(ns=PASSPORT)
    told = [value for key, value in dataset.tags().items() if any(word in key.upper() for word in DATE_TAGS)]
    for text in (*told, passport.get("SOURCE", ""), Path(dataset.name).name):
        if match := DATE.search(text):
            return "-".join(match.groups())
    return ""


def _side(recipe: str, resolution: float) -> int:
    if recipe == "paper":
        return max(1, round(PAPER_SIDE_M / resolution))
    return HU_LARGEST if recipe == "hu" else block_sample_side(resolution)


def _transform(grid: Grid, place: Place) -> Affine:
    return grid.transform @ Affine.translation(place.column, place.row)


def _overlap(one: Place, other: Place) -> bool:
    return (
        one.row < other.row + other.rows
        and other.row < one.row + one.rows
        and one.column < other.column + other.columns
        and other.column < one.column + one.columns
    )


def _read(source: DatasetReader | WarpedVRT, stack: Stack, place: Place) -> NDArray[np.float32]:
    """(6, rows, columns) of a place, NaN where not observed and beyond the grid."""
    image = np.full((len(STACK_BANDS), place.rows, place.columns), np.nan, np.float32)
    top, left = max(place.row, 0), max(place.column, 0)
    bottom, right = min(place.row + place.rows, stack.grid.height), min(place.column + place.columns, stack.grid.width)
    if top < bottom and left < right:
        pixels = read_channels(source, stack.channels, Window(left, top, right - left, bottom - top))
        image[:, top - place.row : bottom - place.row, left - place.column : right - place.column] = pixels
    return image


def described_mask(mask: NDArray[np.uint8]) -> dict[str, Any]:
    """``kind`` and the shares ``rock_glacier`` and ``unknown`` of a mask, as a row of the table has them."""
    rock_glacier, unknown = float((mask == ROCK_GLACIER).mean()), float((mask == UNKNOWN).mean())
    return {"kind": "positive" if rock_glacier else "negative", "rock_glacier": round(rock_glacier, 6), "unknown": round(unknown, 6)}


@contextmanager
def _opened(path: Path) -> Iterator[DatasetReader]:
    """An image or a mask of a sample, which may have no place on the map."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(path)
    except rasterio.errors.RasterioIOError as error:
        raise EngineError("truncated_file", f"{path} cannot be read: it is damaged. Make the samples again. ({error})") from error
    with dataset:
        yield dataset


def _document(job: SamplesJob, kept: list[Cut], maker: Maker, share: float) -> dict[str, Any]:
    """``samples.json``."""
    counts = {name: dict.fromkeys(KINDS, 0) for name in SPLITS}
    for cut in kept:
        counts[cut.row.split][cut.row.kind] += 1
    return {
        "format": FORMAT,
        "software": f"Rock Glacier Mapper {__version__}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": job.recipe,
        "seed": job.seed,
        "validation_share": share,
        "resolution_m": maker.resolution,
        **maker.described(),
        "counts": counts,
        "left_out": dict(maker.left_out),
        "mask": {"background": BACKGROUND, "rock_glacier": ROCK_GLACIER, "unknown": UNKNOWN},
        "bands": sum((cut.statistics for cut in kept), Statistics()).by_band(),
        "bands_of_train": sum((cut.statistics for cut in kept if cut.row.split == SPLITS[TRAIN]), Statistics()).by_band(),
    }


def _write_tables(folder: Path, kept: list[Cut], document: dict[str, Any]) -> None:
    names = [column.name for column in dataclasses.fields(Sample)]
    with open(folder / TABLE, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(names)
        rows.writerows([getattr(cut.row, name) for name in names] for cut in kept)
    text = json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / DOCUMENT).write_text(text + "\n", encoding="utf-8")
    if any(cut.grid is None for cut in kept):
        return
    crs = kept[0].crs
    footprints = [
        reproject(np.array([shapely.segmentize(cut.footprint, cut.footprint.length / 64)], dtype=object), cut.crs, crs)[0] for cut in kept
    ]
    columns = {name: np.array([getattr(cut.row, name) for cut in kept]) for name in names}
    shown = {name: column.astype(object) if column.dtype.kind == "U" else column for name, column in columns.items()}
    write_polygons(folder / FOOTPRINTS, PolygonLayer(np.array(footprints, dtype=object), crs, shown), "samples")


def _what_lacks(counts: dict[str, dict[str, int]], share: float) -> Iterator[tuple[str, str]]:
    """Warnings on a set that nothing good can be trained on."""
    train, validation = (counts[name] for name in SPLITS)
    if not validation["positive"] and share:
        yield (
            "no_validation",
            "No rock glacier is left for validation without sharing ground with training: nobody will know how well a network does. "
            "Give more outlines, a larger area, or smaller samples.",
        )
    if not train["negative"] + validation["negative"]:
        yield (
            "all_positive",
            "Every sample holds a rock glacier: what is none is known from their surroundings alone. Give polygons of look-alikes, a "
            "larger stack, or smaller samples.",
        )
    if not train["positive"]:
        yield "no_training", "No rock glacier is left for training."
