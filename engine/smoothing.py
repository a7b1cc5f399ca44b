"""Boundaries that look drawn: the pixel edges of outlines smoothed away, without moving ground from one outline to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

AREA_TOLERANCE = 0.01
"""Share of its area that an outline may gain or lose."""

PASSES = 12
"""Rounds of averaging over neighbours a tolerance apart, done twice: where a pixel staircase of any direction is gone, bends are not.

On ellipses of 60 to 700 m drawn with pixels of 10 m and smoothed by one pixel, the mean distance to the ellipse falls from 2.2 to
1.0 m; 6 rounds leave steps to be seen (the boundary turns by 1.6 full circles, not by one), 16 move tips by a whole pixel.
"""

FINEST = 0.25
"""Share of the tolerance below which an outline that does not bear smoothing stays as it is."""

VERTICES = 0.05
"""Share of the tolerance by which the drawn line may leave out vertices."""

GRID_M = 0.001
"""A millimetre: vertices of neighbours closer than this are one. Reprojection leaves them apart by less."""

POINTS_AT_ONCE = 300_000


def smooth(outlines: NDArray[np.object_], tolerance: float) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Outlines without their pixel edges, of the same area.

    Boundaries are cut into arcs where three faces meet (two outlines and the ground outside, or three outlines). Each arc is
    averaged, twice so that bends keep their place, and moved so that the area on either side stays what it was; its ends stay
    where they were. Two neighbours get the identical arc, so a shared border stays shared. Straight runs stay straight. What an
    outline does not bear, it is given with half the tolerance, a quarter, or not at all.

    Parameters
    ----------
    outlines : (n,) valid Polygon in metres, holes allowed, overlaps allowed; neighbours that share a border on the same map
    tolerance : about how far a boundary may move, metres: the size of the pixels; 0 or NaN: nothing is smoothed

    Returns
    -------
    smoothed : (n,) valid Polygon, area within 1 % of the raw one's, as many holes, no overlap that was not there
    changed : (n,) False for those that stayed as they were because they could not keep all that at any tolerance

    Source
    ------
    Tukey (1977), Exploratory data analysis: smoothing what smoothing took away, and adding it ("twicing").
    """
    smoothed, changed = outlines.copy(), np.zeros(len(outlines), dtype=bool)
    if not len(outlines) or not tolerance > 0:
        return smoothed, changed
    arcs = _Arcs.of(outlines)
    near = _near_pairs(outlines, 2 * tolerance)
    allowed = np.full(len(arcs.lines), tolerance)
    lines = _drawn(arcs.lines, allowed)
    fresh = np.ones(len(outlines), dtype=bool)
    while fresh.any():
        smoothed[fresh] = arcs.polygons(lines, fresh)
        bad = np.zeros(len(outlines), dtype=bool)
        bad[fresh] = ~_keep(outlines[fresh], smoothed[fresh])
        pairs = near[fresh[near].any(axis=1) & ~bad[near].any(axis=1)]
        bad[pairs[_overlap(smoothed[pairs[:, 0]], smoothed[pairs[:, 1]])]] = True
        again = arcs.of_outlines(bad) & (allowed > 0)
        allowed[again] /= 2
        allowed[allowed < FINEST * tolerance] = 0.0
        lines[again] = _drawn(arcs.lines[again], allowed[again])
        fresh = arcs.outlines_with(again)
        smoothed[bad & ~fresh] = outlines[bad & ~fresh]
    return smoothed, arcs.outlines_with(allowed > 0)


def pixel_size_of(outlines: NDArray[np.object_]) -> float:
    """Size in metres of the pixels whose edges the outlines follow, from the lengths of their edges.

    Their edges turn by right angles alone, and along both directions they are whole multiples of a shortest one.

    Parameters
    ----------
    outlines : (n,) Polygon in metres

    Returns
    -------
    mean of width and height where they differ; NaN where the outlines do not follow pixels (hand-drawn, smoothed) or there are none
    """
    rings = shapely.get_rings(outlines)
    places, ring = shapely.get_coordinates(rings, return_index=True)
    edges = np.diff(places @ [1, 1j])[np.diff(ring) == 0]
    edges = edges[np.abs(edges) > GRID_M]
    if not len(edges):
        return np.nan
    # quarter turns fall together in the fourth power of the direction
    direction = np.angle(np.sum((edges / np.abs(edges)) ** 4)) / 4
    turned = edges * np.exp(-1j * direction)
    along = np.abs(turned.real) > np.abs(turned.imag)
    right = np.minimum(np.abs(turned.real), np.abs(turned.imag)) < 0.05 * np.abs(turned)
    sizes = [_unit(np.abs(turned[family])) for family in (along, ~along)]
    return float(np.mean(sizes)) if right.mean() > 0.95 else np.nan


def _unit(lengths: NDArray[np.float64]) -> float:
    """The length that most of some lengths are whole multiples of, NaN where there is none."""
    if not len(lengths):
        return np.nan
    unit = np.median(lengths[lengths < 1.5 * np.quantile(lengths, 0.02)])
    multiples = lengths / unit
    return float(unit) if (np.abs(multiples - np.round(multiples)) < 0.1 * multiples).mean() > 0.95 else np.nan


@dataclass(frozen=True)
class _Arcs:
    """The boundaries of outlines, cut where three faces meet.

    ``lines`` (m,) LineString, closed where a boundary meets no other; ``arc`` and ``outline`` (k,): which arcs bound which outlines.
    """

    lines: NDArray[np.object_]
    arc: NDArray[np.intp]
    outline: NDArray[np.intp]
    count: int

    @classmethod
    def of(cls, outlines: NDArray[np.object_]) -> _Arcs:
        shares = _share_a_border(outlines)
        alone = np.flatnonzero(~shares)
        rings, owner = shapely.get_rings(outlines[alone], return_index=True)
        places, ring = shapely.get_coordinates(rings, return_index=True)
        lines = shapely.linestrings(places, indices=ring)
        arc, outline = np.arange(len(lines)), alone[owner]
        if shares.any():
            borders = shapely.boundary(outlines[shares])
            common = shapely.get_parts(shapely.line_merge(shapely.union_all(borders, grid_size=GRID_M)))
            middles = shapely.line_interpolate_point(common, 0.5, normalized=True)
            which, bounded = shapely.STRtree(borders).query(middles, predicate="dwithin", distance=5 * GRID_M)
            arc = np.concatenate([arc, len(lines) + which])
            outline = np.concatenate([outline, np.flatnonzero(shares)[bounded]])
            lines = np.concatenate([lines, common])
        order = np.argsort(outline, kind="stable")
        return cls(lines, arc[order], outline[order], len(outlines))

    def polygons(self, lines: NDArray[np.object_], wanted: NDArray[np.bool_]) -> NDArray[np.object_]:
        """What ``lines`` (m,) in the place of the arcs bound, for the outlines that ``wanted`` (n,) marks."""
        used = wanted[self.outline]
        owner = (np.cumsum(wanted) - 1)[self.outline[used]]
        return shapely.build_area(shapely.multilinestrings(lines[self.arc[used]], indices=owner))

    def of_outlines(self, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(m,) arcs that bound any marked outline."""
        arcs = np.zeros(len(self.lines), dtype=bool)
        arcs[self.arc[marked[self.outline]]] = True
        return arcs

    def outlines_with(self, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(n,) outlines that any marked arc bounds."""
        outlines = np.zeros(self.count, dtype=bool)
        outlines[self.outline[marked[self.arc]]] = True
        return outlines


def _share_a_border(outlines: NDArray[np.object_]) -> NDArray[np.bool_]:
    """(n,) outlines that have more than points in common with the boundary of another one that they do not overlap."""
    first, second = _near_pairs(outlines, GRID_M).T
    borders = shapely.boundary(outlines)
    common = shapely.length(shapely.intersection(borders[first], borders[second], grid_size=GRID_M)) > 2 * GRID_M
    shares = np.zeros(len(outlines), dtype=bool)
    shares[first[common]] = shares[second[common]] = True
    return shares


def _near_pairs(outlines: NDArray[np.object_], distance: float) -> NDArray[np.intp]:
    """Pairs (p, 2) of outlines within a distance of each other that do not overlap already."""
    first, second = shapely.STRtree(outlines).query(outlines, predicate="dwithin", distance=distance)
    first, second = first[first < second], second[first < second]
    apart = ~_overlap(outlines[first], outlines[second])
    return np.column_stack([first[apart], second[apart]])


def _overlap(first: NDArray[np.object_], second: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which pairs (p,) share ground, not just a border: more of it than the grid of shared borders makes."""
    overlaps = shapely.intersects(first, second) & ~shapely.touches(first, second)
    area = shapely.area(shapely.intersection(first[overlaps], second[overlaps]))
    overlaps[overlaps] = area > GRID_M * np.minimum(shapely.length(first[overlaps]), shapely.length(second[overlaps]))
    return overlaps


def _keep(raw: NDArray[np.object_], drawn: NDArray[np.object_]) -> NDArray[np.bool_]:
    """(n,) polygons that keep what must be kept."""
    is_polygon = shapely.get_type_id(drawn) == shapely.GeometryType.POLYGON
    same_area = np.abs(shapely.area(drawn) - shapely.area(raw)) <= AREA_TOLERANCE * shapely.area(raw)
    same_holes = shapely.get_num_interior_rings(drawn) == shapely.get_num_interior_rings(raw)
    return np.asarray(is_polygon & same_area & same_holes & shapely.is_valid(drawn))


def _drawn(arcs: NDArray[np.object_], tolerance: NDArray[np.float64]) -> NDArray[np.object_]:
    """Arcs (m,) smoothed by a tolerance (m,) in metres each, 0 = as they are."""
    lines = arcs.copy()
    work = np.flatnonzero(tolerance > 0)
    for part in _batches(work, shapely.length(arcs[work]) / tolerance[work]):
        raw = _Curves.of(arcs[part])
        curves = raw.sampled(tolerance[part])
        once = curves.averaged(curves.z)
        twice = once + curves.averaged(curves.z - once)
        full = curves.with_places(twice).with_area(raw.area()).lines()
        sparse = shapely.simplify(full, VERTICES * tolerance[part], preserve_topology=True)
        lines[part] = _Curves.of(sparse).with_area(raw.area()).lines()
    return lines


def _batches(work: NDArray[np.intp], points: NDArray[np.float64]) -> Iterator[NDArray[np.intp]]:
    """``work`` in pieces of about ``POINTS_AT_ONCE`` points."""
    batch = (np.cumsum(points) // POINTS_AT_ONCE).astype(np.intp)
    for number in np.unique(batch):
        yield work[batch == number]


@dataclass(frozen=True)
class _Curves:
    """Polylines end to end in the complex plane, east + i north, each from its own origin.

    ``z`` (points,), closed ones without the repeated last point; ``owner`` (points,), sorted; ``closed`` (m,);
    ``origin`` (m,): near the curve, so that small areas are not lost among large coordinates.
    """

    z: NDArray[np.complex128]
    owner: NDArray[np.intp]
    closed: NDArray[np.bool_]
    origin: NDArray[np.complex128]

    @classmethod
    def of(cls, lines: NDArray[np.object_]) -> _Curves:
        places, owner = shapely.get_coordinates(lines, return_index=True)
        z = places @ [1, 1j]
        closed = np.asarray(shapely.is_closed(lines))
        last = np.append(np.diff(owner) > 0, True)
        origin = z[np.flatnonzero(last) - np.bincount(owner) + 1]
        kept = ~(last & closed[owner])
        return cls((z - origin[owner])[kept], owner[kept], closed, origin)

    def with_places(self, z: NDArray[np.complex128]) -> _Curves:
        return _Curves(z, self.owner, self.closed, self.origin)

    def neighbours(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Index of the point before and after each, (points,) each; at the ends of open curves the point itself for both."""
        count = np.bincount(self.owner)
        end = np.cumsum(count)
        before, after = np.arange(-1, end[-1] - 1), np.arange(1, end[-1] + 1)
        first, last = end - count, end - 1
        before[first], after[last] = np.where(self.closed, last, first), np.where(self.closed, first, last)
        after[first[~self.closed]], before[last[~self.closed]] = first[~self.closed], last[~self.closed]
        return before, after

    def averaged(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Values (points,) averaged over neighbours; those at the ends of open curves stay."""
        before, after = self.neighbours()
        for _ in range(PASSES):
            z = 0.5 * z + 0.25 * (z[before] + z[after])
        return z

    def sampled(self, step: NDArray[np.float64]) -> _Curves:
        """Means over stretches about ``step`` (m,) metres long; open curves keep their ends besides."""
        start, following, owner = self._segments()
        length = np.abs(following - start)
        passed = np.concatenate([[0.0], np.cumsum(length)])
        moment = np.concatenate([[0.0], np.cumsum(length * (start + following) / 2)])
        ends = np.searchsorted(owner, np.arange(len(step) + 1))
        whole = passed[ends[1:]] - passed[ends[:-1]]
        pieces = np.maximum(np.round(whole / step), 4).astype(np.intp)
        of = np.repeat(np.arange(len(step)), pieces + 1)
        number = np.arange(len(of)) - np.repeat(np.cumsum(pieces + 1) - pieces - 1, pieces + 1)
        place = passed[ends[of]] + whole[of] * number / pieces[of]
        segment = np.clip(np.searchsorted(passed, place, side="right") - 1, ends[of], ends[of + 1] - 1)
        into = np.clip((place - passed[segment]) / np.maximum(length[segment], 1e-12), 0.0, 1.0)
        at = start[segment] + into * (following[segment] - start[segment])
        until = moment[segment] + into * length[segment] * (start[segment] + at) / 2
        inner = number > 0
        means = np.diff(until)[inner[1:]] * (pieces / whole)[of[inner]]
        ends_kept = ~self.closed[of] & (~inner | (number == pieces[of]))
        order = np.lexsort((np.append(number[inner] - 0.5, number[ends_kept]), np.append(of[inner], of[ends_kept])))
        z, owner = np.append(means, at[ends_kept])[order], np.append(of[inner], of[ends_kept])[order]
        return _Curves(z, owner, self.closed, self.origin)

    def area(self) -> NDArray[np.float64]:
        """(m,) square metres to the left of each curve, closed by a straight line from its end to its start."""
        start, following, owner = self._segments()
        doubled = np.bincount(owner, (start.conj() * following).imag, minlength=len(self.closed))
        return np.asarray(doubled / 2, dtype=np.float64)

    def with_area(self, wanted: NDArray[np.float64]) -> _Curves:
        """Moved along their normals, all points of a curve by the same length, until the area (m,) is as wanted."""
        before, after = self.neighbours()
        curves = self
        for _ in range(3):
            tangent = curves.z[after] - curves.z[before]
            size = np.abs(tangent)
            missing = wanted - curves.area()
            breadth = np.bincount(self.owner, size / 2, minlength=len(wanted))
            shift = missing / np.maximum(breadth, 1e-9)
            normal = -1j * tangent / np.maximum(size, 1e-9)
            curves = curves.with_places(curves.z + shift[self.owner] * normal)
        return curves

    def lines(self) -> NDArray[np.object_]:
        """(m,) LineString on the map."""
        count = np.bincount(self.owner)
        first = np.cumsum(count) - count
        owner = np.concatenate([self.owner, np.flatnonzero(self.closed)])
        order = np.argsort(owner, kind="stable")
        z = np.concatenate([self.z, self.z[first[self.closed]]])[order] + self.origin[owner[order]]
        return np.asarray(shapely.linestrings(np.column_stack([z.real, z.imag]), indices=owner[order]))

    def _segments(self) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.intp]]:
        """Start, end and owner of each segment."""
        count = np.bincount(self.owner)
        last = np.cumsum(count) - 1
        after = np.arange(1, len(self.z) + 1)
        after[last] = np.cumsum(count) - count
        kept = np.ones(len(self.z), dtype=bool)
        kept[last[~self.closed]] = False
        return self.z[kept], self.z[after[kept]], self.owner[kept]
