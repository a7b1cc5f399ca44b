"""Cuts training samples out of spectral stacks, with what outlines and a review say about the ground.

Source
------
Lin et al. (2024), section 3.3.1; Hu et al. (2023), section 3.2.1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from engine import rasters
from engine.columns import texts
from engine.errors import EngineError
from engine.outline_names import outline_names
from engine.rasters import PASSPORT, Grid
from engine.reporting import Reporter
from engine.sample_files import (
    BACKGROUND,
    IMAGES,
    LOOK_ALIKE,
    MASKS,
    OUTLINE,
    RANDOM,
    REJECTED,
    ROCK_GLACIER,
    SPLITS,
    UNKNOWN,
    Cut,
    Sample,
    Statistics,
    described_mask,
    located,
    on_their_sides,
    opened,
    write_mask,
    write_sample,
)
from engine.sample_layout import (
    HU_LARGEST,
    LEFT_OUT,
    PAPER_SIDE_M,
    TRAIN,
    Lattice,
    Place,
    Taken,
    block_of,
    block_sample_side,
    box_around,
    patches_around,
    samples_per_block,
    share_out_blocks,
    shared_ground,
    shared_outlines,
    split_apart,
)
from engine.stack import NEEDED_BY, Channels, check_stack, read_channels
from engine.vectors import PolygonLayer, read_outlines, reproject
from jobs import STACK_BANDS, SamplesJob
from review_session import POSITIVE, STATUSES

LEAST_OBSERVED = 0.5
"""Share of its pixels that a sample without rock glaciers must show."""
FRUITLESS_DRAWS = 1000
"""Random places in a row that do for no background; then there is no room left."""
SAME_RESOLUTION = 0.01
ENOUGH_SQUARES = 10
"""Where fewer hold rock glaciers, the squares of the recipe ``blocks`` are half as wide: a small area could not be split."""
LARGEST_SIDE = 4096
"""Pixels along a sample's side."""

DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(?!\d)")
DATE_TAGS = ("ACQUISITION", "ACQUIRED", "SENSING", "PRODUCT_START_TIME", "IMAGERY_DATE")


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
        names = texts(fields["uid"]) if "uid" in fields else outline_names(layer, "rock glacier", reporter).astype(object)
        return cls(layer.geometries, value, names, status, shapely.STRtree(layer.geometries))

    def in_crs(self, source: CRS, target: CRS) -> Labels:
        """The same in another CRS."""
        geometries = on_map(self.geometries, source, target)
        return replace(self, geometries=geometries, tree=shapely.STRtree(geometries))

    def within(self, ground: shapely.Geometry) -> NDArray[np.intp]:
        """Numbers of the outlines that share ground with a polygon."""
        near = self.tree.query(ground, predicate="intersects")
        return np.sort(near[shapely.area(shapely.intersection(self.geometries[near], ground)) > 0])

    def is_free(self, ground: shapely.Geometry) -> bool:
        """True where there is neither rock glacier nor what is unknown."""
        return bool((self.value[self.within(ground)] == BACKGROUND).all())

    def mask(self, grid: Grid, unknown: Iterable[int] = ()) -> NDArray[np.uint8]:
        """(rows, columns) by the centres of the pixels; rock glaciers lie over what is unknown, and that over background.

        ``unknown``: numbers of outlines to take for unknown.
        """
        here = self.within(shapely.box(*grid.bounds))
        value = np.where(np.isin(here, list(unknown)), UNKNOWN, self.value[here])
        shapes = [(self.geometries[i], label) for label in (UNKNOWN, ROCK_GLACIER) for i in here[value == label]]
        if not shapes:
            return np.zeros((grid.height, grid.width), np.uint8)
        return np.asarray(rasterize(shapes, (grid.height, grid.width), transform=grid.transform, dtype="uint8"))


def on_map(geometries: NDArray[np.object_], source: CRS, target: CRS) -> NDArray[np.object_]:
    """Geometries (n,) in another CRS; empty where that has no such place."""
    if source == target:
        return geometries
    moved = reproject(geometries, source, target)
    moved[~np.isfinite(shapely.bounds(moved)).all(axis=1)] = shapely.Polygon()
    return moved


class Cutter:
    """Cuts samples out of stacks into a folder, one at a time; see :class:`engine.samples.Maker`.

    ``size``: pixels along a sample's side; ``block_samples``: samples along a block's, 0 where there are no blocks; ``rock_glaciers``
    outlines that are such, ``outside`` how many of them lie on no stack; ``on_both_sides`` those that the split runs through.
    """

    def __init__(self, job: SamplesJob, resolution: float, background: float, folder: Path, reporter: Reporter) -> None:
        self._job, self._background_ratio, self._folder, self._reporter = job, background, folder, reporter
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
        self.stacks, self._pixel = look_at_stacks(job.stacks, resolution, reporter)
        self.resolution: float | None = round(self._pixel, 6)
        self.size = job.size or _side(job.recipe, self._pixel)
        if self.size > LARGEST_SIDE:
            raise EngineError(
                "parameter",
                f"resolution is {self._pixel:g} m: samples would be {self.size} pixels wide, more than {LARGEST_SIDE}. Give a coarser "
                "resolution, or a size in pixels.",
            )
        self._by_crs = {stack.crs: self._labels.in_crs(outlines.crs, stack.crs) for stack in self.stacks}
        self._look_alikes = {
            stack.crs: np.empty(0, object) if look_alikes is None else on_map(look_alikes.geometries, look_alikes.crs, stack.crs)
            for stack in self.stacks
        }
        self._systems = list(self._by_crs)
        self._lattices = self._laid_out()
        if job.recipe == "blocks" and not job.size and self._squares() < ENOUGH_SQUARES:
            self.size //= 2
            self._lattices = self._laid_out()
        self._taken = [Taken(self.size) for _ in self.stacks]
        self._used: list[set[tuple[int, int] | None]] = [set() for _ in self.stacks]

    def _laid_out(self) -> list[Lattice]:
        """The squares of the recipe ``blocks`` on each stack; those of one CRS begin in the corner of its first stack."""
        origins: dict[CRS, tuple[float, float]] = {}
        for stack in self.stacks:
            origins.setdefault(stack.crs, (stack.grid.transform.c, stack.grid.transform.f))
        return [Lattice.of(stack.grid, origins[stack.crs], self.size) for stack in self.stacks]

    def _squares(self) -> int:
        """How many squares hold rock glaciers."""
        return len(
            {
                (stack.crs, cell)
                for stack, lattice in zip(self.stacks, self._lattices, strict=True)
                for geometry in self._by_crs[stack.crs].geometries[self._labels.value == ROCK_GLACIER]
                for cell in lattice.cells_of(geometry)
            }
        )

    def cut(self, reporter: Reporter) -> list[Cut]:
        """All samples."""
        self._check_ground()
        places = [self._places(number) for number in range(len(self.stacks))]
        cuts: list[Cut] = []
        laid_out = sum(map(len, places))
        for number, there in enumerate(places):
            for cut in self._cut_places(number, there):
                cuts.append(cut)
                reporter.progress(0.7 * min(len(cuts) / laid_out, 1.0), f"Cutting sample {len(cuts)}")
        positives = sum(cut.is_positive for cut in cuts)
        need = max(0, round(self._background_ratio * positives) - (len(cuts) - positives))
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
                at = lattice.cells_of(geometry) if made_for == OUTLINE else [lattice.cell_at(geometry.representative_point())]
                for cell in at:
                    if cell is not None:
                        cells.setdefault(cell, lattice.place(cell, made_for, index))
            return list(cells.values())
        if self._job.recipe == "hu":
            return [place for wish in wanted for place in patches_around(stack.grid, wish[0], self.size, *wish[1:])]
        return [place for wish in wanted if (place := box_around(stack.grid, wish[0], self.size, *wish[1:])) is not None]

    def _check_ground(self) -> None:
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
            lattice, used = self._lattices[number], self._used[number]
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
            if not self._taken[number].touches(place) and labels.is_free(place.footprint(grid)):
                fruitless = 0
                self._taken[number].add(place)
                yield place

    def _cut_places(self, number: int, places: Iterable[Place]) -> Iterator[Cut]:
        """The samples of a stack that show enough."""
        stack = self.stacks[number]
        labels = self._by_crs[stack.crs]
        with rasters.open_raster(stack.path) as dataset, rasters.on_grid(dataset, stack.grid) as source:
            for place in places:
                self._reporter.check_cancelled()
                image = read_place(source, stack, place)
                seen = np.isfinite(image[:3]).all(axis=0)
                mask = np.where(seen, labels.mask(place.on(stack.grid)), UNKNOWN).astype(np.uint8)
                is_positive = bool((mask == ROCK_GLACIER).any())
                if not is_positive and (
                    seen.sum() < LEAST_OBSERVED * place.whole or (self._job.recipe == "paper" and place.made_for == OUTLINE)
                ):
                    if place.made_for != RANDOM:
                        self.left_out["not observed"] += 1
                    continue
                self._taken[number].add(place)
                self._used[number].add(place.block)
                yield self._write(number, place, image, mask)

    def _write(self, number: int, place: Place, image: NDArray[np.float32], mask: NDArray[np.uint8]) -> Cut:
        stack = self.stacks[number]
        labels = self._by_crs[stack.crs]
        self._count += 1
        name = f"{self._count:06d}"
        write_sample(self._folder, name, place.on(stack.grid), image, mask)
        is_of_outline = place.made_for in (OUTLINE, REJECTED)
        row = Sample(
            sample=name,
            image=f"{IMAGES}/{name}.tif",
            mask=f"{MASKS}/{name}.tif",
            split="",
            made_for=place.made_for,
            outline=str(labels.names[place.index] or "") if is_of_outline else "",
            status=str(labels.status[place.index]) if is_of_outline else "",
            block="",
            pixel_size_m=self.resolution,
            **described_place(stack, place),
            **described_mask(mask),
        )
        footprint = place.footprint(stack.grid)
        held = labels.within(footprint)
        cell = (self._systems.index(stack.crs), *(place.block or (0, 0)))
        outlines = frozenset(held[labels.value[held] == ROCK_GLACIER].tolist())
        return Cut(row, Statistics.of(image), outlines, (footprint, stack.crs), cell)

    def _hidden(self, cut: Cut) -> Cut:
        """The sample with the outlines that lie on both sides made unknown in its mask."""
        path = self._folder / cut.row.mask
        with opened(path) as dataset:
            before, here = rasters.read(dataset, [1])[0], Grid.of(dataset)
        labelled = self._by_crs[self._systems[cut.cell[0]]].mask(here, self.on_both_sides)
        mask = np.where(before == UNKNOWN, UNKNOWN, labelled).astype(np.uint8)
        path.unlink()
        write_mask(path, here, mask)
        return cut.with_row(**described_mask(mask))

    def split(self, cuts: list[Cut], share: float, random: np.random.Generator) -> list[Cut]:
        """See :class:`engine.samples.Maker`."""
        positive = np.array([cut.is_positive for cut in cuts], dtype=bool)
        ground = shared_ground([cut.ground for cut in cuts], self._pixel**2)
        if self._job.recipe != "blocks":
            sides = split_apart(ground | shared_outlines([cut.outlines for cut in cuts]), positive, share, random)
            return self._kept(cuts, sides)
        cells = np.array([cut.cell for cut in cuts], dtype=np.intp).reshape(-1, 3)
        self.block_samples = samples_per_block(cells, positive, share)
        blocks, block = np.unique(block_of(cells, self.block_samples), axis=0, return_inverse=True)
        sides = share_out_blocks(block.ravel(), [cut.outlines for cut in cuts], positive, share, random)
        for one, other in ground:  # stacks of two zones, or whose pixels lie between each other's
            if sides[one] != sides[other]:
                sides[one if sides[one] == TRAIN else other] = LEFT_OUT
        names = ["_".join(map(str, name)) for name in blocks]
        kept = self._kept([cut.with_row(block=names[number]) for cut, number in zip(cuts, block.ravel(), strict=True)], sides)
        held = [{outline for cut in kept if cut.row.split == name for outline in cut.outlines} for name in SPLITS]
        if not held[0] - held[1]:  # training would be left with nothing
            return [cut.with_row(split=SPLITS[TRAIN]) for cut in kept]
        self.on_both_sides = held[0] & held[1]
        return [self._hidden(cut) if cut.row.split == SPLITS[TRAIN] and cut.outlines & self.on_both_sides else cut for cut in kept]

    def _kept(self, cuts: list[Cut], sides: NDArray[np.int8]) -> list[Cut]:
        kept, left_out = on_their_sides(cuts, sides, self._folder)
        if left_out:
            self.left_out["shared ground"] = left_out
        return kept

    def described(self) -> dict[str, Any]:
        """See :class:`engine.samples.Maker`."""
        value = self._labels.value
        return {
            "stacks": [
                {
                    "path": located(stack.path),
                    "date": stack.date or None,
                    "crs": rasters.crs_name(stack.grid.crs),
                    "without": list(stack.channels.absent),
                }
                for stack in self.stacks
            ],
            "outlines": {
                "path": located(str(self._job.outlines)),
                "layer": self._job.outlines_layer,
                "rock_glaciers": self.rock_glaciers,
                "rejected": int((value == BACKGROUND).sum()),
                "unknown": int((value == UNKNOWN).sum()),
                "outside": self.outside,
                "on_both_sides": len(self.on_both_sides),
            },
            "negatives": self._job.negatives and located(self._job.negatives),
            "size": self.size,
            "block_m": round(self.block_samples * self.size * self._pixel, 3) if self.block_samples else None,
        }


def look_at_stacks(paths: Iterable[str], resolution: float, reporter: Reporter) -> tuple[list[Stack], float]:
    """The stacks on the grids that samples are taken from, and the pixel size in metres: the coarsest where none (0) is given.

    Raises
    ------
    EngineError
        ``not_a_stack``; those of :func:`engine.rasters.open_raster`, :func:`engine.stack.check_stack`.
    """
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
    systems: dict[str, CRS] = {}
    for path, date, own_grid, channels in found:
        grid = rasters.working_grid(own_grid, resolution)[0]
        wkt = grid.crs.to_wkt()
        stacks.append(Stack(path, date, grid, channels, systems.setdefault(wkt, CRS.from_wkt(wkt))))
    return stacks, resolution


def described_place(stack: Stack, place: Place) -> dict[str, Any]:
    """Where a sample was taken, as a row of the table has it."""
    x, y = place.on(stack.grid).transform @ (place.columns / 2, place.rows / 2)
    longitude, latitude = Transformer.from_crs(stack.crs, 4326, always_xy=True).transform(x, y)
    return {
        "source": located(stack.path),
        "date": stack.date,
        "x": round(x, 3),
        "y": round(y, 3),
        "longitude": round(longitude, 6),
        "latitude": round(latitude, 6),
        "crs": rasters.crs_name(stack.grid.crs),
        "rows": place.rows,
        "columns": place.columns,
    }


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


def read_place(source: DatasetReader | WarpedVRT, stack: Stack, place: Place) -> NDArray[np.float32]:
    """(6, rows, columns) of a place, NaN where not observed and beyond the grid."""
    image = np.full((len(STACK_BANDS), place.rows, place.columns), np.nan, np.float32)
    top, left = max(place.row, 0), max(place.column, 0)
    bottom, right = min(place.row + place.rows, stack.grid.height), min(place.column + place.columns, stack.grid.width)
    if top < bottom and left < right:
        pixels = read_channels(source, stack.channels, Window(left, top, right - left, bottom - top))
        image[:, top - place.row : bottom - place.row, left - place.column : right - place.column] = pixels
    return image
