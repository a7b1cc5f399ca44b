"""The union of polygons that follow the edges of the same pixels: counted in whole pixels, so it is exact, and quick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

OFF_GRID = 0.01
"""Share of a pixel that a vertex may lie off its corner."""

Ints = NDArray[np.int64]


def unite_on_pixels(polygons: NDArray[np.object_], group: NDArray[np.intp]) -> NDArray[np.object_] | None:
    """The union of each group of polygons that share ground or an edge, along pixel edges.

    Along every row of pixels, the polygons of a group begin and end at whole pixels; between the places where the number of
    those that are open leaves zero and returns to it lies the union. Its boundary is where that differs from the next row.

    Parameters
    ----------
    polygons : (n,) valid Polygon
    group : (n,) of each polygon, 0 to the number of groups - 1, every one of them there

    Returns
    -------
    (groups,) Polygon, None for a group whose union touches itself in a corner or is in several parts; None as a whole where
    the polygons do not follow the edges of the same pixels
    """
    corners = _Corners.of(shapely.orient_polygons(polygons), group)
    if corners is None:
        return None
    begin, end = corners.runs()
    horizontal, vertical = corners.horizontal_edges(begin, end), corners.vertical_edges(begin, end)
    tail = np.concatenate([horizontal[0], vertical[0]])
    head = np.concatenate([horizontal[1], vertical[1]])
    order = np.argsort(tail)
    touching = np.flatnonzero(np.diff(tail[order]) == 0)  # two edges begin in this corner
    apart = ~np.isin(corners.group_of(tail), corners.group_of(tail[order[touching]]))
    united = np.full(int(group.max()) + 1, None, dtype=object)
    if not apart.any():
        return united
    tail, head = tail[apart], head[apart]
    ring, place = _rings(tail, head)
    in_order = np.lexsort((place, ring))
    x, y = corners.position(tail[in_order])
    first = np.flatnonzero(np.diff(ring[in_order], prepend=-1))
    edges = x * np.roll(y, -1) - np.roll(x, -1) * y
    last = np.append(first[1:], len(x)) - 1
    edges[last] = x[last] * y[first] - x[first] * y[last]
    is_hole = np.add.reduceat(edges, first) < 0
    rings = shapely.linearrings(np.column_stack([x, y]), indices=ring[in_order])
    owner = corners.group_of(tail[in_order][first])
    in_one_part = np.bincount(owner, ~is_hole)[owner] == 1
    shell_first = np.lexsort((is_hole, owner))[in_one_part[np.lexsort((is_hole, owner))]]
    found, polygon = np.unique(owner[shell_first], return_inverse=True)
    if len(found):
        united[found] = shapely.polygons(rings[shell_first], indices=polygon)
    return united


@dataclass(frozen=True)
class _Corners:
    """Corners of pixels, numbered by group, row and column.

    ``x`` (columns,), ``y`` (rows,) map units by column and row; ``column``, ``low``, ``high``, ``goes_up``, ``group`` (m,) of the
    vertical edges of the polygons, whose ground lies to their left.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    column: Ints
    low: Ints
    high: Ints
    goes_up: NDArray[np.bool_]
    group: Ints

    @classmethod
    def of(cls, polygons: NDArray[np.object_], group: NDArray[np.intp]) -> _Corners | None:
        """The vertical edges of polygons, None where not all edges are those of the same pixels."""
        rings, owner = shapely.get_rings(polygons, return_index=True)
        places, ring = shapely.get_coordinates(rings, return_index=True)
        column, row = _on_grid(places[:, 0]), _on_grid(places[:, 1])
        if column is None or row is None:
            return None
        within = np.diff(ring) == 0
        east, north = np.diff(column[0])[within], np.diff(row[0])[within]
        if ((east != 0) & (north != 0)).any():
            return None
        vertical = np.flatnonzero(within)[north != 0]
        before, after = row[0][vertical], row[0][vertical + 1]
        edges = (column[0][vertical], np.minimum(before, after), np.maximum(before, after), after > before)
        return cls(column[1], row[1], *edges, group[owner[ring[vertical]]].astype(np.int64))

    @property
    def _width(self) -> int:
        return len(self.x) + 1

    @property
    def _height(self) -> int:
        return len(self.y) + 1

    def number(self, group: Ints, row: Ints, column: Ints) -> Ints:
        """One number for each corner, in the order of groups, rows and columns."""
        return (group * self._height + row) * self._width + column

    def group_of(self, corner: Ints) -> Ints:
        """The group of a corner by its number."""
        return corner // (self._width * self._height)

    def position(self, corner: Ints) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Map units of a corner by its number."""
        return self.x[corner % self._width], self.y[corner // self._width % self._height]

    def runs(self) -> tuple[Ints, Ints]:
        """Lower corners where the pixels of the union begin and end, row by row."""
        rows = self.high - self.low
        lowest = self.number(self.group, self.low, self.column) * 2 + self.goes_up  # beginnings before ends in the same place
        up = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows)
        events = np.sort(np.repeat(lowest, rows) + up * (2 * self._width))
        step = 1 - 2 * (events & 1)
        is_open = np.cumsum(step)
        return events[(is_open == 1) & (step > 0)] >> 1, events[is_open == 0] >> 1

    def horizontal_edges(self, begin: Ints, end: Ints) -> tuple[Ints, Ints]:
        """Tail and head of the union's horizontal edges, its ground to their left."""
        above, below = self._width, 0
        events = np.sort(np.concatenate([(begin + below) * 2, (end + below) * 2 + 1, (begin + above) * 2 + 1, (end + above) * 2]))
        first = np.flatnonzero(np.diff(events >> 1, prepend=-1))
        step = np.add.reduceat(1 - 2 * (events & 1), first) if len(first) else events
        corner, step = events[first][step != 0] >> 1, step[step != 0]
        ground = np.cumsum(step)
        edge = np.flatnonzero(ground)
        to_east = ground[edge] > 0
        west, east = corner[edge], corner[edge + 1]
        return np.where(to_east, west, east), np.where(to_east, east, west)

    def vertical_edges(self, begin: Ints, end: Ints) -> tuple[Ints, Ints]:
        """Tail and head of the union's vertical edges, its ground to their left."""
        side = np.repeat([0, 1], [len(begin), len(end)])
        corner = np.concatenate([begin, end])
        row = corner // self._width
        column = ((row // self._height) * self._width + corner % self._width) * 2 + side
        in_columns = np.sort(column * self._height + row % self._height)
        first = np.flatnonzero(np.diff(in_columns, prepend=-2) != 1)
        last = np.append(first[1:], len(in_columns)) - 1
        low, high = in_columns[first] % self._height, in_columns[last] % self._height + 1
        place, side = np.divmod(in_columns[first] // self._height, 2)
        lower, upper = (self.number(place // self._width, row, place % self._width) for row in (low, high))
        return np.where(side == 1, lower, upper), np.where(side == 1, upper, lower)


def _on_grid(values: NDArray[np.float64]) -> tuple[Ints, NDArray[np.float64]] | None:
    """Whole steps of coordinates along one axis from the lowest, and the coordinate of each step; None where they are on no grid."""
    steps = np.abs(np.diff(values))
    steps = steps[steps > 0]
    span = values.max() - values.min()
    if not len(steps):
        return None
    size = span / round(span / steps.min())
    index = np.round((values - values.min()) / size).astype(np.int64)
    if np.abs(values - values.min() - index * size).max() > OFF_GRID * size:
        return None
    by_index = np.zeros(index.max() + 1)
    by_index[index] = values
    return index, by_index


def _rings(tail: Ints, head: Ints) -> tuple[Ints, Ints]:
    """The closed ring that each edge belongs to, numbered from 0, and its place on it; no two edges have the same tail.

    Source
    ------
    Places by pointer jumping: Wyllie (1979), The complexity of parallel computations.
    """
    by_tail = np.argsort(tail)
    following = by_tail[np.searchsorted(tail[by_tail], head)]
    count = len(tail)
    links = coo_array((np.ones(count, dtype=bool), (np.arange(count), following)), shape=(count, count))
    ring = connected_components(links, directed=False)[1].astype(np.int64)
    beginning = np.zeros(count, dtype=bool)
    beginning[np.unique(ring, return_index=True)[1]] = True
    # how far the ring's end is, each edge asking the one that it knows to be farthest
    ends = beginning[following]
    farthest, distance = np.where(ends, np.arange(count), following), (~ends).astype(np.int64)
    while (farthest != farthest[farthest]).any():
        distance += distance[farthest]
        farthest = farthest[farthest]
    return ring, -distance
