"""Where training samples lie, and which side of the split they are on; windows, groups and counts, no files.

Source
------
Lin et al. (2024), section 3.3.1; Hu et al. (2023), section 3.2.1. docs/samples.md says what was decided here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, product

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from engine.rasters import Grid
from engine.vectors import reproject

Ground = tuple[shapely.Polygon, CRS]
"""A footprint in map units of a CRS."""

TRAIN, VALIDATION, LEFT_OUT = 0, 1, -1

PAPER_SIDE_M = 2000.0
"""Boxes of Lin et al. (2024), 1 km to each side of the centroid."""
HU_BUFFER_M, HU_LARGEST = 1500.0, 480
"""Ground around an outline, and the most pixels of a patch's side, in Hu et al. (2023)."""
BLOCK_SAMPLE_M, BLOCK_SAMPLE_PIXELS, MULTIPLE = 2000.0, 256, 64
"""Least side of a sample of the recipe ``blocks``, on the ground and in pixels, which are a multiple that networks halve without a rest."""

EQUAL_AREA = CRS.from_epsg(6933)

LARGEST_BLOCK = 16
"""Samples along the side of a block."""
BLOCKS_IN_VALIDATION = 2
"""Of those with rock glaciers, so many at least are to be on the smaller side; blocks are as large as that allows."""

STARTS = 50
"""Samples from which a connected piece of ground for validation is tried."""


@dataclass(frozen=True)
class Place:
    """A window of a grid that is to become a sample.

    ``row``, ``column`` of its upper left pixel, which may lie beyond the grid; ``rows``, ``columns``; ``made_for`` what it was laid out
    for: outline, rejected, look-alike or background; ``index`` of that outline or look-alike, -1 for background; ``block`` its block in the
    recipe ``blocks``; ``whole`` the pixels that it would have if the grid did not end.
    """

    row: int
    column: int
    rows: int
    columns: int
    made_for: str
    index: int
    block: tuple[int, int] | None
    whole: int

    def on(self, grid: Grid) -> Grid:
        """Its pixels as a grid of their own."""
        return Grid(grid.crs, grid.transform @ Affine.translation(self.column, self.row), self.columns, self.rows)

    def footprint(self, grid: Grid) -> shapely.Polygon:
        """Its ground in map units."""
        (left, top), (right, bottom) = (
            grid.transform @ corner for corner in ((self.column, self.row), (self.column + self.columns, self.row + self.rows))
        )
        return shapely.box(left, bottom, right, top)


def block_sample_side(resolution: float) -> int:
    """Pixels along the side of a sample of the recipe ``blocks``."""
    return max(BLOCK_SAMPLE_PIXELS, MULTIPLE * math.ceil(BLOCK_SAMPLE_M / resolution / MULTIPLE))


@dataclass(frozen=True)
class Lattice:
    """The pixels of a grid, cut into squares that lie the same on every grid of one CRS.

    ``side`` of a square in pixels; ``row``, ``column`` where the lattice begins, in pixels of the grid.
    """

    grid: Grid
    side: int
    row: int
    column: int

    @classmethod
    def of(cls, grid: Grid, origin: tuple[float, float], side: int) -> Lattice:
        """``origin``: where the lattice begins, map units."""
        column, row = ~grid.transform @ origin
        return cls(grid, side, round(row), round(column))

    def cells(self) -> Iterator[tuple[int, int]]:
        """All squares that hold pixels of the grid, row by row."""
        first, last = self._cell(0, 0), self._cell(self.grid.height - 1, self.grid.width - 1)
        for row in range(first[0], last[0] + 1):
            for column in range(first[1], last[1] + 1):
                yield row, column

    def cell_at(self, point: shapely.Point) -> tuple[int, int] | None:
        """The square that a point lies in, None beyond the grid."""
        column, row = ~self.grid.transform @ (point.x, point.y)
        if not (0 <= row < self.grid.height and 0 <= column < self.grid.width):
            return None
        return self._cell(math.floor(row), math.floor(column))

    def cells_of(self, geometry: shapely.Geometry) -> list[tuple[int, int]]:
        """The squares of the grid that share ground with a geometry."""
        if geometry.is_empty:
            return []
        left, bottom, right, top = geometry.bounds
        (first_column, first_row), (last_column, last_row) = ~self.grid.transform @ (left, top), ~self.grid.transform @ (right, bottom)
        if last_row < 0 or last_column < 0 or first_row > self.grid.height or first_column > self.grid.width:
            return []
        first = self._cell(max(math.floor(first_row), 0), max(math.floor(first_column), 0))
        last = self._cell(min(math.floor(last_row), self.grid.height - 1), min(math.floor(last_column), self.grid.width - 1))
        near = [(row, column) for row in range(first[0], last[0] + 1) for column in range(first[1], last[1] + 1)]
        shared = [geometry.intersection(self.place(cell, "", -1).footprint(self.grid)).area > 0 for cell in near]
        return [cell for cell, touches in zip(near, shared, strict=True) if touches]

    def place(self, cell: tuple[int, int], made_for: str, index: int) -> Place:
        """A square, cut where the grid ends."""
        top, left = self.row + cell[0] * self.side, self.column + cell[1] * self.side
        bottom, right = min(top + self.side, self.grid.height), min(left + self.side, self.grid.width)
        top, left = max(top, 0), max(left, 0)
        return Place(top, left, bottom - top, right - left, made_for, index, cell, self.side**2)

    def _cell(self, row: int, column: int) -> tuple[int, int]:
        return (row - self.row) // self.side, (column - self.column) // self.side


def box_around(grid: Grid, geometry: shapely.Geometry, side: int, made_for: str, index: int) -> Place | None:
    """A square of ``side`` pixels around the centroid (Lin et al. 2024); None where that lies beyond the grid."""
    middle = geometry.centroid
    column, row = ~grid.transform @ (middle.x, middle.y)
    if not (0 <= row < grid.height and 0 <= column < grid.width):
        return None
    return Place(round(row - side / 2), round(column - side / 2), side, side, made_for, index, None, side**2)


def patches_around(grid: Grid, geometry: shapely.Geometry, largest: int, made_for: str, index: int) -> list[Place]:
    """The ground within 1500 m of a geometry's rectangle as patches of at most ``largest`` pixels (Hu et al. 2023)."""
    left, bottom, right, top = geometry.bounds
    (first_column, first_row) = ~grid.transform @ (left - HU_BUFFER_M, top + HU_BUFFER_M)
    (last_column, last_row) = ~grid.transform @ (right + HU_BUFFER_M, bottom - HU_BUFFER_M)
    if not geometry.intersects(shapely.box(*grid.bounds)):
        return []
    rows = _cut(max(math.floor(first_row), 0), min(math.ceil(last_row), grid.height), largest)
    columns = _cut(max(math.floor(first_column), 0), min(math.ceil(last_column), grid.width), largest)
    return [
        Place(row, column, end - row, right_end - column, made_for, index, None, (end - row) * (right_end - column))
        for row, end in rows
        for column, right_end in columns
    ]


def windows_for(grid: Grid, geometry: shapely.Geometry, side: int, made_for: str, index: int) -> list[list[Place]]:
    """Windows of ``side`` pixels (cut where the grid is smaller) that a geometry lies in.

    Returns
    -------
    for each piece of the geometry that fits into a window, the windows that hold it, the one around its middle first; the others are
    shifted as far as they go, away from what may lie beside it
    """
    rows, columns = min(side, grid.height), min(side, grid.width)
    left, bottom, right, top = geometry.bounds
    (first_column, first_row), (last_column, last_row) = ~grid.transform @ (left, top), ~grid.transform @ (right, bottom)
    found = []
    for top_row, end_row in _cut(max(math.floor(first_row), 0), min(math.ceil(last_row), grid.height), rows):
        for left_column, end_column in _cut(max(math.floor(first_column), 0), min(math.ceil(last_column), grid.width), columns):
            piece = Place(top_row, left_column, end_row - top_row, end_column - left_column, made_for, index, None, side**2)
            if geometry.intersection(piece.footprint(grid)).area > 0:
                starts = product(_starts(top_row, end_row, rows, grid.height), _starts(left_column, end_column, columns, grid.width))
                found.append([replace(piece, row=row, column=column, rows=rows, columns=columns) for row, column in starts])
    return found


def _starts(start: int, end: int, size: int, length: int) -> list[int]:
    """Where a window of ``size`` pixels may begin that holds a piece: in its middle, and shifted as far as it goes."""
    lowest, highest = max(end - size, 0), min(start, length - size)
    middle = min(max((start + end - size) // 2, lowest), highest)
    return list(dict.fromkeys((middle, lowest, highest)))


def _cut(start: int, end: int, largest: int) -> list[tuple[int, int]]:
    pieces = math.ceil((end - start) / largest)
    return list(pairwise(int(edge) for edge in np.linspace(start, end, pieces + 1).round()))


class Taken:
    """Windows of a grid that samples lie on; asked for overlaps, quickly however many there are."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._bins: defaultdict[tuple[int, int], list[Place]] = defaultdict(list)

    def add(self, place: Place) -> None:
        """One more."""
        for bin_ in self._bins_of(place):
            self._bins[bin_].append(place)

    def touches(self, place: Place) -> bool:
        """True where a window has pixels in common with one of them."""
        return any(_overlap(place, other) for bin_ in self._bins_of(place) for other in self._bins.get(bin_, ()))

    def _bins_of(self, place: Place) -> Iterator[tuple[int, int]]:
        for row in range(place.row // self._side, (place.row + place.rows - 1) // self._side + 1):
            for column in range(place.column // self._side, (place.column + place.columns - 1) // self._side + 1):
                yield row, column


def _overlap(one: Place, other: Place) -> bool:
    return (
        one.row < other.row + other.rows
        and other.row < one.row + one.rows
        and one.column < other.column + other.columns
        and other.column < one.column + one.columns
    )


def shared_ground(grounds: Sequence[Ground | None], pixel_area: float) -> set[tuple[int, int]]:
    """Pairs of samples that have more than half a pixel of ground in common.

    Parameters
    ----------
    grounds : (n,) in metres; None for what has no place
    pixel_area : square metres

    Returns
    -------
    pairs (i, j), i < j
    """
    members: dict[CRS, list[int]] = {}
    for number, ground in enumerate(grounds):
        if ground is not None:
            members.setdefault(ground[1], []).append(number)
    boxes = np.array([None if ground is None else ground[0] for ground in grounds], dtype=object)
    pairs = [_overlapping(boxes[numbers], np.array(numbers), pixel_area / 2) for numbers in members.values()]
    if len(members) > 1:
        side = math.sqrt(shapely.area(boxes).max())
        # the edges of a box are bent on another map
        bent = [reproject(shapely.segmentize(boxes[numbers], side / 16), crs, EQUAL_AREA) for crs, numbers in members.items()]
        system = np.repeat(np.arange(len(members)), [len(numbers) for numbers in members.values()])
        everyone = np.concatenate([np.array(numbers) for numbers in members.values()])
        of = dict(zip(everyone.tolist(), system.tolist(), strict=True))
        pairs.append({(i, j) for i, j in _overlapping(np.concatenate(bent), everyone, pixel_area / 2) if of[i] != of[j]})
    return set().union(*pairs)


def _overlapping(boxes: NDArray[np.object_], numbers: NDArray[np.intp], least: float) -> set[tuple[int, int]]:
    one, other = shapely.STRtree(boxes).query(boxes, predicate="intersects")
    one, other = one[one < other], other[one < other]
    share = shapely.area(shapely.intersection(boxes[one], boxes[other])) > least
    ends = np.sort(np.column_stack([numbers[one[share]], numbers[other[share]]]), axis=1)
    return {(int(i), int(j)) for i, j in ends}


def shared_outlines(outlines: Sequence[Iterable[int]]) -> set[tuple[int, int]]:
    """Pairs (i, j), i < j, of samples that hold parts of the same outline; ``outlines`` (n,) which ones each holds."""
    holders: dict[int, list[int]] = {}
    for sample, held in enumerate(outlines):
        for outline in held:
            holders.setdefault(outline, []).append(sample)
    return {pair for samples in holders.values() for pair in combinations(samples, 2)}


def split_apart(pairs: set[tuple[int, int]], positive: NDArray[np.bool_], share: float, random: np.random.Generator) -> NDArray[np.int8]:
    """Sides of samples (n,) such that no pair is on both: TRAIN, VALIDATION, LEFT_OUT.

    Samples that hang together go to one side; those that hang together with no other go to validation first, as in Lin et al. (2024).
    Where nearly everything hangs together, a connected piece of it becomes validation, and what it touches is left out; the piece is
    smaller than ``share`` where otherwise half of the rock glaciers would be lost to training.

    Parameters
    ----------
    pairs : what must not be parted
    positive : (n,) which samples hold rock glaciers; they and the others are shared out each by ``share``
    share : of validation, 0-1
    """
    count = len(positive)
    one, other = np.array(sorted(pairs), dtype=np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(count, count)).tocsr()
    group = connected_components(graph, directed=False)[1]
    sides = choose_groups(group, positive, share, random, smallest_first=True)
    wanted = round(share * positive.sum())
    if share == 0 or (positive & (sides == VALIDATION)).sum() >= max(wanted, 1) / 2:
        return sides
    largest = np.bincount(group[positive]).argmax() if positive.any() else 0
    members = np.flatnonzero((group == largest) & positive)
    touching = graph + graph.T
    enough = max(wanted, 1)
    while enough:
        best, best_train = sides, int(positive.sum()) // 2
        for start in random.permutation(members)[:STARTS]:
            order = breadth_first_order(touching, start, directed=False, return_predecessors=False)
            taken = order[: np.searchsorted(np.cumsum(positive[order]), enough) + 1]
            tried = np.where(group == largest, TRAIN, sides).astype(np.int8)
            tried[np.unique(touching[taken].nonzero()[1])] = LEFT_OUT
            tried[taken] = VALIDATION
            left = int((positive & (tried == TRAIN)).sum())
            if left > best_train:
                best, best_train = tried, left
        if best is not sides:
            return best
        enough //= 2
    return sides


def choose_groups(
    group: NDArray[np.intp], positive: NDArray[np.bool_], share: float, random: np.random.Generator, smallest_first: bool = False
) -> NDArray[np.int8]:
    """Sides of samples (n,), TRAIN or VALIDATION, whole groups together; a group goes to validation where it fits in.

    Parameters
    ----------
    group : (n,) which group each sample belongs to, from 0
    positive, share : as :func:`split_apart`
    """
    sides = np.full(len(group), TRAIN, np.int8)
    if not len(group) or share == 0:
        return sides
    counts = np.zeros((group.max() + 1, 2), np.int64)
    np.add.at(counts, (group, positive.astype(int)), 1)
    order = random.permutation(len(counts))
    if smallest_first:
        order = order[np.argsort(counts[order].sum(axis=1), kind="stable")]
    with_positive = counts[:, 1] > 0
    wanted = np.round(share * counts.sum(axis=0)).astype(int)
    wanted[1] = max(wanted[1], int(with_positive.sum() > 1))
    chosen = np.zeros(2, np.int64)
    for number in [*order[with_positive[order]], *order[~with_positive[order]]]:
        # a block of background may bring some more with it, rock glaciers are shared out exactly
        fits = chosen[1] + counts[number, 1] <= wanted[1] if with_positive[number] else chosen[0] + counts[number, 0] <= wanted[0]
        if fits:
            sides[group == number] = VALIDATION
            chosen += counts[number]
    if chosen[1] == 0 and with_positive.sum() > 1:
        few = np.flatnonzero(with_positive)
        sides[group == few[counts[few, 1].argmin()]] = VALIDATION
    return sides


def share_out_blocks(
    block: NDArray[np.intp], outlines: Sequence[Iterable[int]], positive: NDArray[np.bool_], share: float, random: np.random.Generator
) -> NDArray[np.int8]:
    """Sides of samples (n,), TRAIN or VALIDATION, whole blocks together.

    Blocks that an outline reaches over stay together, too, where that leaves enough of them.

    Parameters
    ----------
    block : (n,) which block each sample lies in, from 0
    outlines : (n,) which ones each sample holds
    positive, share : as :func:`split_apart`
    """
    held = [(sample, outline) for sample, there in enumerate(outlines) for outline in there]
    count, blocks = len(block), int(block.max(initial=-1)) + 1
    one = np.concatenate([np.arange(count), np.array([sample for sample, _ in held], dtype=np.intp)])
    other = np.concatenate([count + block, count + blocks + np.array([outline for _, outline in held], dtype=np.intp)])
    nodes = int(max(one.max(initial=0), other.max(initial=0))) + 1
    united = connected_components(coo_array((np.ones(len(one)), (one, other)), shape=(nodes, nodes)), directed=False)[1][:count]
    united = np.unique(united, return_inverse=True)[1]
    sides = choose_groups(united, positive, share, random)
    found = (positive & (sides == VALIDATION)).sum()
    if found and 2 * found >= round(share * positive.sum()) and (positive & (sides == TRAIN)).sum() >= found:
        return sides
    return choose_groups(block, positive, share, random)


def samples_per_block(cells: NDArray[np.intp], positive: NDArray[np.bool_], share: float) -> int:
    """Samples along a block's side: as many as leave enough blocks with rock glaciers to share out.

    Parameters
    ----------
    cells : (n, 3) lattice, row and column of each sample's square
    """
    least = math.ceil(BLOCKS_IN_VALIDATION / share) if share else 1
    side = LARGEST_BLOCK
    while side > 1 and len(np.unique(block_of(cells[positive], side), axis=0)) < least:
        side //= 2
    return side


def block_of(cells: NDArray[np.intp], side: int) -> NDArray[np.intp]:
    """(n, 3) lattice, row and column of the block of ``side`` x ``side`` squares that each square belongs to."""
    return np.column_stack([cells[:, :1], cells[:, 1:] // side])
