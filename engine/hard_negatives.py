"""What a network marks where no rock glacier is, made negative samples: errors, windows, labels, and when to stop.

Source
------
Hu et al. (2023), section 3.2. docs/hard-negatives.md says what was decided here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import rasterize, shapes
from rasterio.windows import Window

from engine import __version__, rasters
from engine.outputs import whole_folder, whole_set
from engine.rasters import Grid
from engine.reporting import Reporter
from engine.sample_cutter import Stack, described_place, on_map, read_place
from engine.sample_files import (
    BACKGROUND,
    DOCUMENT,
    FOOTPRINTS,
    HARD_NEGATIVE,
    IMAGES,
    KINDS,
    MASKS,
    SPLITS,
    TABLE,
    UNKNOWN,
    Cut,
    MinedSample,
    Sample,
    SampleSet,
    Statistics,
    described_mask,
    located,
    write_sample,
)
from engine.sample_layout import Ground, Place, windows_for
from engine.samples import write_tables
from engine.search_area import SearchArea
from engine.vectors import PolygonLayer
from jobs import STACK_BANDS

TARGET, NO_ERRORS, NO_GAIN, ROUNDS = "target_iou", "no_errors", "no_gain", "rounds"
"""Why it stopped."""
REASONS = {
    TARGET: "the validation IoU that was asked for is reached",
    NO_ERRORS: "nothing of the smallest area or more is marked any more",
    NO_GAIN: "two rounds brought no higher validation IoU",
    ROUNDS: "all rounds are used up",
}
PATIENCE = 2
"""Rounds without a higher validation IoU after which it stops."""
GAIN = 0.001
"""Validation IoU by which a round is better than another."""
ROWS = 256
"""Rows of a raster that are in memory together."""


@dataclass(frozen=True)
class Round:
    """What became of a round.

    ``negatives`` samples that were added before its training; ``errors`` objects of the smallest area or more that its network marks,
    ``marked_share`` of the area that was searched (0-1), ``searched_km2``; ``iou``, ``precision``, ``recall`` of rock glacier in the
    validation samples at ``threshold``.
    """

    round: int
    negatives: int
    errors: int
    marked_share: float
    searched_km2: float
    iou: float
    precision: float | None
    recall: float | None
    threshold: float


def best_round(rounds: Sequence[Round]) -> Round:
    """The one with the highest validation IoU; of those that are as good, the one that marks least."""
    highest = max(one.iou for one in rounds)
    return min((one for one in rounds if one.iou > highest - GAIN), key=lambda one: one.marked_share)


def reason_to_stop(rounds: Sequence[Round], target: float, most: int) -> str | None:
    """Why no round follows on the last of these, a key of :data:`REASONS`; None where one does.

    Parameters
    ----------
    target : validation IoU, 0-1
    most : rounds after the first network, which is round 0
    """
    last = rounds[-1]
    if last.iou >= target:
        return TARGET
    if not last.errors:
        return NO_ERRORS
    if len(rounds) > PATIENCE:
        before = max(one.iou for one in rounds[:-PATIENCE])
        if max(one.iou for one in rounds[-PATIENCE:]) < before + GAIN:
            return NO_GAIN
    return ROUNDS if last.round >= most else None


@dataclass(frozen=True)
class Error:
    """An object that a network marks where no rock glacier is.

    ``stack`` as :func:`engine.sample_files.located` names it; ``geometry`` in the CRS of that stack's grid; ``probability`` the mean, 0-1.
    """

    stack: str
    geometry: shapely.Geometry
    probability: float
    candidate: int = 0

    @property
    def area_m2(self) -> float:
        """On the map of the stack's grid, which is in metres."""
        return float(self.geometry.area)

    @property
    def wrongness(self) -> float:
        """Area times mean probability, square metres."""
        return self.area_m2 * self.probability


@dataclass(frozen=True)
class KnownGround:
    """What is known about the ground.

    ``areas`` without rock glaciers, None: everywhere; ``unknown`` known rock glaciers and what a person struck out, with their margin;
    ``validation`` ground of the validation samples.
    """

    areas: PolygonLayer | None
    unknown: PolygonLayer
    validation: PolygonLayer

    def searched(self, grid: Grid) -> Iterator[tuple[Window, NDArray[np.bool_]]]:
        """Row by row of a grid, where a mark is an error: (rows, columns)."""
        wanted = SearchArea(self.areas, grid)
        unwanted = [SearchArea(layer, grid) for layer in (self.unknown, self.validation)]
        for window in rasters.windows(grid, ROWS, grid.width):
            rows = (window.row_off, window.height)
            inside = wanted.inside(*rows)
            for area in unwanted:
                inside &= ~area.inside(*rows)
            yield window, inside

    def mask(self, grid: Grid) -> NDArray[np.uint8]:
        """(rows, columns) of a sample: background where no rock glacier is, unknown elsewhere."""
        free = SearchArea(self.areas, grid).inside(0, grid.height) & ~SearchArea(self.unknown, grid).inside(0, grid.height)
        return np.where(free, BACKGROUND, UNKNOWN).astype(np.uint8)


def with_margin(layer: PolygonLayer, margin: float, crs: CRS) -> PolygonLayer:
    """Polygons and the ground within ``margin`` metres around them, in ``crs``, which is in metres."""
    placed = on_map(layer.geometries, layer.crs, crs)
    return PolygonLayer(shapely.buffer(placed[~shapely.is_empty(placed)], margin), crs)


def find_errors(
    stack: Stack, probability: Path, threshold: float, known: KnownGround, smallest: float, workplace: Path, reporter: Reporter
) -> tuple[list[Error], int, int]:
    """What is marked in a stack where no rock glacier is. A few rows are in memory at a time.

    Parameters
    ----------
    probability : blended, of the stack
    threshold : 0-1
    smallest : area of an object, square metres
    workplace : folder for a raster of what is marked

    Returns
    -------
    objects, and how many pixels of the stack's grid are marked and were searched
    """
    grid, marks = stack.grid, workplace / "marked.tif"
    found: list[Error] = []
    marked = searched = 0
    with rasters.open_raster(probability) as dataset, rasters.on_grid(dataset, grid) as source:
        with rasters.write_geotiff(marks, grid, ("marked",), "uint8", UNKNOWN) as raster:
            for window, inside in known.searched(grid):
                reporter.check_cancelled()
                values = np.where(inside, rasters.read_observed(source, [1], window)[0], np.nan)
                wrong = values >= threshold
                raster.write(wrong.astype(np.uint8), 1, window=window)
                marked += int(wrong.sum())
                searched += int(np.isfinite(values).sum())
        with rasterio.open(marks) as raster:
            band = rasterio.band(raster, 1)
            for outline, _ in shapes(band, mask=band, connectivity=4, transform=grid.transform):
                geometry = shapely.Polygon(outline["coordinates"][0], outline["coordinates"][1:])
                if geometry.area >= smallest:
                    found.append(Error(located(stack.path), geometry, _mean_probability(source, grid, geometry)))
    marks.unlink()
    return found, marked, searched


def _mean_probability(source: rasterio.io.DatasetReader | rasterio.vrt.WarpedVRT, grid: Grid, geometry: shapely.Geometry) -> float:
    left, bottom, right, top = geometry.bounds
    corners = (~grid.transform @ (left, top), ~grid.transform @ (right, bottom))
    (column, row), (end_column, end_row) = ((round(x), round(y)) for x, y in corners)
    window = Window(column, row, end_column - column, end_row - row)
    transform = grid.transform @ Affine.translation(column, row)
    inside = rasterize([geometry], (window.height, window.width), transform=transform, dtype="uint8")
    return float(rasters.read_observed(source, [1], window)[0][inside == 1].mean())


class OccupiedGround:
    """Ground that no further sample may lie on, whatever the CRS it is told in."""

    def __init__(self, grounds: Iterable[Ground], systems: Iterable[CRS]) -> None:
        self._by_crs: dict[CRS, list[shapely.Geometry]] = {crs: [] for crs in systems}
        for ground in grounds:
            self.add(ground)

    def add(self, ground: Ground) -> None:
        """Some more."""
        polygon, own = ground
        bent = np.array([shapely.segmentize(polygon, polygon.length / 64)], dtype=object)  # the edges of a box are bent on another map
        for crs, there in self._by_crs.items():
            there.append(polygon if crs == own else on_map(bent, own, crs)[0])

    def layer(self, crs: CRS) -> PolygonLayer:
        """All of it, on one of the maps."""
        return PolygonLayer(np.array([*self._by_crs[crs], None], dtype=object)[:-1], crs)

    def touches(self, ground: Ground, pixel_area: float) -> bool:
        """True where more than half a pixel lies on it."""
        polygon, crs = ground
        there = self.layer(crs).geometries
        there = there[shapely.intersects(there, polygon)]
        return bool((shapely.area(shapely.intersection(there, polygon)) > pixel_area / 2).any())


@dataclass(frozen=True)
class Mined:
    """A window that is to become a negative sample: ``error`` that it was made for, ``errors`` all that lie in it."""

    stack: Stack
    place: Place
    error: Error
    errors: tuple[Error, ...] = field(default_factory=tuple)


def choose_windows(errors: Sequence[Error], stacks: Sequence[Stack], size: int, occupied: OccupiedGround, most: int) -> list[Mined]:
    """Windows around errors, the most wrong first; none touches another, or ground that is occupied.

    Where the window with the error in its middle does not fit in, it is shifted; an error that is larger than a window gets several.

    Parameters
    ----------
    size : pixels along a window's side
    occupied : is added to
    most : windows at most
    """
    of = {located(stack.path): stack for stack in stacks}
    chosen: list[Mined] = []
    worst_first = sorted(errors, key=lambda one: -one.wrongness)
    pieces = ((error, wish) for error in worst_first for wish in windows_for(of[error.stack].grid, error.geometry, size, HARD_NEGATIVE, -1))
    for error, places in pieces:
        if len(chosen) == most:
            break
        stack = of[error.stack]
        for place in places:
            ground = (place.footprint(stack.grid), stack.crs)
            if not occupied.touches(ground, stack.grid.resolution**2):
                occupied.add(ground)
                chosen.append(Mined(stack, place, error))
                break
    return [replace(mined, errors=tuple(_within(mined, errors))) for mined in chosen]


def _within(mined: Mined, errors: Sequence[Error]) -> Iterator[Error]:
    footprint, stack = mined.place.footprint(mined.stack.grid), located(mined.stack.path)
    for error in errors:
        if error.stack == stack and error.geometry.intersects(footprint) and error.geometry.intersection(footprint).area > 0:
            yield error


def ground_of(sample: Sample) -> Ground | None:
    """Where a sample lies; None where that is not known (chips)."""
    if sample.x is None or sample.y is None or sample.pixel_size_m is None:
        return None
    half_width, half_height = sample.columns * sample.pixel_size_m / 2, sample.rows * sample.pixel_size_m / 2
    box = shapely.box(sample.x - half_width, sample.y - half_height, sample.x + half_width, sample.y + half_height)
    return box, CRS.from_user_input(sample.crs)


def copy_samples(original: SampleSet, folder: Path) -> None:
    """A copy of a set of samples that can grow; whole or not at all.

    Raises
    ------
    EngineError
        those of :func:`engine.outputs.whole_folder`.
    """
    with whole_folder(folder, (IMAGES, MASKS, TABLE, DOCUMENT, FOOTPRINTS)) as place:
        for name in (IMAGES, MASKS):
            (place / name).mkdir()
        for sample in original.samples:
            for name in (sample.image, sample.mask):
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(original.folder / name, place / name)
        write_grown_tables(place, original, [])


def write_negatives(
    folder: Path, chosen: Sequence[Mined], known: Mapping[CRS, KnownGround], number: int, first: int, without: Sequence[str]
) -> list[Cut]:
    """Cut windows out of their stacks and write them as samples; files that are there already are replaced.

    Parameters
    ----------
    known : of each CRS
    number : of the round
    first : number of the first sample
    without : bands that the other samples do not show: they stay unobserved, or a network would learn that as a sign of background
    """
    cuts = []
    hidden = [STACK_BANDS.index(name) for name in without]
    for index, mined in enumerate(chosen, first):
        stack, name, here = mined.stack, f"{index:06d}", mined.place.on(mined.stack.grid)
        with rasters.open_raster(stack.path) as dataset, rasters.on_grid(dataset, stack.grid) as source:
            image = read_place(source, stack, mined.place)
        image[hidden] = np.nan
        seen = np.isfinite(image[:3]).all(axis=0)
        mask = np.where(seen, known[stack.crs].mask(here), UNKNOWN).astype(np.uint8)
        for there in (IMAGES, MASKS):
            (folder / there / f"{name}.tif").unlink(missing_ok=True)
        write_sample(folder, name, here, image, mask)
        row = MinedSample(
            sample=name,
            image=f"{IMAGES}/{name}.tif",
            mask=f"{MASKS}/{name}.tif",
            split=SPLITS[0],
            made_for=HARD_NEGATIVE,
            outline="",
            status="",
            block="",
            pixel_size_m=round(stack.grid.resolution, 6),
            round=number,
            wrongness=round(mined.error.wrongness, 1),
            **described_place(stack, mined.place),
            **described_mask(mask),
        )
        cuts.append(Cut(row, Statistics.of(image)))
    return cuts


def write_grown_tables(folder: Path, original: SampleSet, added: Sequence[Cut]) -> None:
    """The tables of a copy of samples with those that were added; what was there before does not matter.

    Raises
    ------
    EngineError
        those of :func:`engine.outputs.whole_set`.
    """
    cuts = [*(Cut(MinedSample(**vars(sample)), Statistics()) for sample in original.samples), *added]
    cuts = [replace(cut, ground=ground_of(cut.row)) for cut in cuts]
    counts = {split: dict.fromkeys(KINDS, 0) for split in SPLITS}
    for cut in cuts:
        counts[cut.row.split][cut.row.kind] += 1
    new = sum((cut.statistics for cut in added), Statistics())
    document = original.document
    bands: dict[str, Any] = {
        name: (Statistics.of_bands(document[name]) + new).by_band() for name in ("bands", "bands_of_train") if name in document
    }
    mined = {
        "software": f"Rock Glacier Mapper {__version__}",
        "from": str(original.folder),
        "samples": len(added),
        "rounds": max((cut.row.round for cut in added if isinstance(cut.row, MinedSample)), default=0),
        "stacks": sorted({cut.row.source for cut in added}),
    }
    with whole_set(folder / TABLE) as place:
        write_tables(place, cuts, {**document, "counts": counts, "hard_negatives": mined, **bands})
