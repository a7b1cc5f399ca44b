"""How far predicted boundaries lie from reference boundaries, in metres."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from engine.local_maps import local_maps
from engine.sections import SECTIONS
from engine.threads import in_threads
from engine.vectors import reproject

BOUNDARY_FIGURES = {
    "boundary_iou_1px": "boundary IoU (Cheng et al. 2021): shared over joint area of the strips one pixel wide inside both boundaries",
    "boundary_iou_2px": "boundary IoU with strips two pixels wide",
    "boundary_iou_5px": "boundary IoU with strips five pixels wide",
    "boundary_iou_10m": "boundary IoU with strips 10 m wide",
    "polis_m": "PoLiS (Avbelj et al. 2015): mean distance of a boundary's points to the other boundary, mean of both directions; metres",
    "mean_m": "mean distance between the boundaries: of every metre of both boundaries to the other one; metres",
    "median_m": "median of that distance; metres",
    "hd95_m": "95 % Hausdorff distance: 95 % of a boundary is nearer to the other one, the larger of both directions; metres",
    "hausdorff_m": "Hausdorff distance: the farthest that a point of a boundary lies from the other one; metres",
    "signed_mean_m": "mean distance of the predicted from the reference boundary, outside it positive, inside negative; metres",
    "signed_median_m": "median of that signed distance; metres",
}
"""Names of the figures of a pair of outlines -> definitions."""

SECTION_FIGURES = {
    f"signed_mean_{section}_m": f"mean distance of the predicted boundary from the {section} section of the reference boundary, "
    "outside it positive, inside negative; metres"
    for section in SECTIONS
}
"""The same of their sections."""

_Figures = dict[str, NDArray[np.float64]]
T = TypeVar("T")

AT_ONCE = 100
"""Pairs that a thread takes at a time."""

FEW = 100_000
"""Points times segments up to which trying all of them is faster than a search tree."""


def boundary_distances(
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    crs: CRS,
    pixel_size: float,
    check: Callable[[], None] = lambda: None,
) -> dict[str, NDArray[np.float64]]:
    """Boundary figures of pairs of outlines.

    Both boundaries, those of holes too, are taken at points at most one pixel apart, their vertices among them; the distance of
    a point to the other boundary is exact, so that a Hausdorff distance is short by half a pixel at most. Means and quantiles
    weigh points by the length they stand for; PoLiS counts them.

    Parameters
    ----------
    predicted, reference : (n,) Polygon or MultiPolygon that correspond, in map units of ``crs``, on one map
    pixel_size : metres
    check : called between pieces of work, may raise to stop

    Returns
    -------
    name of :data:`BOUNDARY_FIGURES` -> (n,)
    """
    figures = {name: np.full(len(reference), np.nan) for name in BOUNDARY_FIGURES}
    for indices, piece in _in_metres(_compared, predicted, reference, crs, pixel_size, check):
        for name, values in figures.items():
            values[indices] = piece[name]
    return figures


def mean_boundary_distances(
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    crs: CRS,
    pixel_size: float,
    check: Callable[[], None] = lambda: None,
) -> NDArray[np.float64]:
    """The figure ``mean_m`` of :func:`boundary_distances` alone, (n,) metres, in a third of the time; parameters as there."""
    means = np.full(len(reference), np.nan)
    for indices, piece in _in_metres(_mean_distances, predicted, reference, crs, pixel_size, check):
        means[indices] = piece
    return means


def _in_metres(
    measure: Callable[[NDArray[np.object_], NDArray[np.object_], float], T],
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    crs: CRS,
    pixel_size: float,
    check: Callable[[], None],
) -> Iterator[tuple[NDArray[np.intp], T]]:
    """Some of the pairs at a time, and what is measured of them on a map in metres."""
    for indices, local, references in local_maps(reference, crs):
        predictions = predicted[indices] if local == crs else reproject(predicted[indices], crs, local)

        def measured(part: slice, ours: NDArray[np.object_] = predictions, theirs: NDArray[np.object_] = references) -> T:
            return measure(ours[part], theirs[part], pixel_size)

        pieces = in_threads(measured, len(indices), AT_ONCE, check)
        for number, piece in enumerate(pieces):
            yield indices[number * AT_ONCE : (number + 1) * AT_ONCE], piece


@dataclass(frozen=True)
class _Boundaries:
    """Boundaries of n outlines, as points and as segments, both outline by outline.

    ``places`` (v, 2), ``weight`` (v,) the length that a point stands for, ``closing`` (v,) marks the last point of a ring, which is its
    first again, ``owner`` (v,) index of the outline. ``start``, ``end`` (s, 2) of the segments; ``first_point``, ``first_segment``
    (n + 1,) where each outline's begin.
    """

    places: NDArray[np.float64]
    weight: NDArray[np.float64]
    closing: NDArray[np.bool_]
    owner: NDArray[np.intp]
    first_point: NDArray[np.intp]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    first_segment: NDArray[np.intp]

    @classmethod
    def of(cls, outlines: NDArray[np.object_], pixel_size: float) -> _Boundaries:
        parts, part_owner = shapely.get_parts(outlines, return_index=True)
        rings, ring_part = shapely.get_rings(parts, return_index=True)
        ring_owner = part_owner[ring_part]
        places, ring = shapely.get_coordinates(shapely.segmentize(rings, pixel_size), return_index=True)
        step = np.append(np.hypot(*np.diff(places, axis=0).T), 0.0)
        closing = np.append(np.diff(ring) > 0, True)
        step[closing] = 0
        corners, corner_ring = shapely.get_coordinates(rings, return_index=True)
        real = (np.diff(corner_ring) == 0) & (np.diff(corners, axis=0) != 0).any(axis=1)
        owner, segment_owner = ring_owner[ring], ring_owner[corner_ring[:-1][real]]
        bounds = np.arange(len(outlines) + 1)
        return cls(
            places,
            (step + np.roll(step, 1)) / 2,
            closing,
            owner,
            np.searchsorted(owner, bounds),
            corners[:-1][real],
            corners[1:][real],
            np.searchsorted(segment_owner, bounds),
        )

    def distances_to(self, other: _Boundaries) -> NDArray[np.float64]:
        """Exact distance of each point (v,) to the boundary of the outline of the same index in ``other``."""
        distances = np.empty(len(self.places))
        lines = _Lines.through(other.start, other.end)
        for index in range(len(self.first_point) - 1):
            points = slice(self.first_point[index], self.first_point[index + 1])
            segments = slice(other.first_segment[index], other.first_segment[index + 1])
            if (points.stop - points.start) * (segments.stop - segments.start) > FEW:
                distances[points] = _by_search_tree(self.places[points], other.start[segments], other.end[segments])
            else:
                distances[points] = lines.distances(self.places[points], segments)
        return distances

    def means_of_points(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of the points' values (v,) of each outline, (n,); every point counts once."""
        once = (~self.closing).astype(np.float64)
        return _means(values, once, self.owner, len(self.first_point) - 1)


def _by_search_tree(places: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each place (v, 2) to the nearest of the segments (s, 2), (v,)."""
    tree = shapely.STRtree(shapely.linestrings(np.stack([start, end], axis=1)))
    return np.asarray(tree.query_nearest(shapely.points(places), return_distance=True, all_matches=False)[1])


@dataclass(frozen=True)
class _Lines:
    """Segments as axes of their own: unit vectors ``along`` and ``across`` (s, 2), where on them they begin, ``length`` (s,) metres."""

    along: NDArray[np.float64]
    across: NDArray[np.float64]
    from_along: NDArray[np.float64]
    from_across: NDArray[np.float64]
    length: NDArray[np.float64]

    @classmethod
    def through(cls, start: NDArray[np.float64], end: NDArray[np.float64]) -> _Lines:
        length = np.hypot(*(end - start).T)
        along = (end - start) / length[:, None]
        across = along[:, ::-1] * [-1.0, 1.0]
        return cls(along, across, np.einsum("ij,ij->i", start, along), np.einsum("ij,ij->i", start, across), length)

    def distances(self, places: NDArray[np.float64], segments: slice) -> NDArray[np.float64]:
        """Distance of each place (v, 2) to the nearest of some segments, (v,)."""
        beyond = places @ self.along[segments].T
        beyond -= self.from_along[segments]
        beyond -= np.minimum(np.maximum(beyond, 0), self.length[segments])
        beside = places @ self.across[segments].T
        beside -= self.from_across[segments]
        beyond *= beyond
        beside *= beside
        beyond += beside
        return np.asarray(np.sqrt(beyond.min(axis=1)))


def _compared(predicted: NDArray[np.object_], reference: NDArray[np.object_], pixel_size: float) -> _Figures:
    """The figures of some pairs in metres."""
    count = len(predicted)
    # copies: threads must not share prepared geometries, and a caller may give an outline in several pairs
    predicted, reference = shapely.force_2d(predicted), shapely.force_2d(reference)
    shapely.prepare(predicted)
    shapely.prepare(reference)
    figures = _boundary_iou(predicted, reference, {"1px": pixel_size, "2px": 2 * pixel_size, "5px": 5 * pixel_size, "10m": 10.0})
    ours, theirs = _Boundaries.of(predicted, pixel_size), _Boundaries.of(reference, pixel_size)
    there, back = ours.distances_to(theirs), theirs.distances_to(ours)
    signed = np.where(shapely.contains_xy(reference[ours.owner], ours.places), -there, there)
    both = np.concatenate([there, back])
    weight, owner = np.concatenate([ours.weight, theirs.weight]), np.concatenate([ours.owner, theirs.owner])
    farthest = np.zeros(count)
    np.maximum.at(farthest, owner, both)
    figures["polis_m"] = (ours.means_of_points(there) + theirs.means_of_points(back)) / 2
    figures["mean_m"] = _means(both, weight, owner, count)
    figures["median_m"] = _quantiles(both, weight, owner, count, 0.5)
    figures["hd95_m"] = np.maximum(
        _quantiles(there, ours.weight, ours.owner, count, 0.95), _quantiles(back, theirs.weight, theirs.owner, count, 0.95)
    )
    figures["hausdorff_m"] = farthest
    figures["signed_mean_m"] = _means(signed, ours.weight, ours.owner, count)
    figures["signed_median_m"] = _quantiles(signed, ours.weight, ours.owner, count, 0.5)
    return figures


def _mean_distances(predicted: NDArray[np.object_], reference: NDArray[np.object_], pixel_size: float) -> NDArray[np.float64]:
    ours, theirs = _Boundaries.of(predicted, pixel_size), _Boundaries.of(reference, pixel_size)
    both = np.concatenate([ours.distances_to(theirs), theirs.distances_to(ours)])
    weight, owner = np.concatenate([ours.weight, theirs.weight]), np.concatenate([ours.owner, theirs.owner])
    return _means(both, weight, owner, len(predicted))


def _boundary_iou(predicted: NDArray[np.object_], reference: NDArray[np.object_], widths: Mapping[str, float]) -> _Figures:
    """Boundary IoU of pairs in metres, with strips of some widths inside the boundaries.

    Source
    ------
    Cheng et al. (2021), Boundary IoU: |G_d n P_d| / |G_d u P_d|, G_d what of G lies within d of its boundary: G less its erosion by d.
    """
    shared = shapely.area(shapely.intersection(predicted, reference))
    whole = shapely.area(predicted) + shapely.area(reference)
    of_width: dict[float, NDArray[np.float64]] = {}
    for width in set(widths.values()):
        core, other_core = shapely.buffer(predicted, -width), shapely.buffer(reference, -width)
        common = (
            shared
            - _shared_with(core, reference)
            - _shared_with(other_core, predicted)
            + shapely.area(shapely.intersection(core, other_core))
        )
        joint = whole - shapely.area(core) - shapely.area(other_core) - common
        of_width[width] = np.clip(common / joint, 0, 1)
    return {f"boundary_iou_{name}": of_width[width] for name, width in widths.items()}


def _shared_with(cores: NDArray[np.object_], prepared: NDArray[np.object_]) -> NDArray[np.float64]:
    """Area (n,) that cores share with outlines; most of them lie in there whole, which a prepared outline knows at once."""
    area = shapely.area(cores)
    cut = np.flatnonzero(~shapely.contains_properly(prepared, cores) & (area > 0))
    area[cut] = shapely.area(shapely.intersection(cores[cut], prepared[cut]))
    return area


def _means(values: NDArray[np.float64], weight: NDArray[np.float64], owner: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """Weighted mean of each owner's values, (count,)."""
    return np.bincount(owner, values * weight, minlength=count) / np.bincount(owner, weight, minlength=count)


def _quantiles(
    values: NDArray[np.float64], weight: NDArray[np.float64], owner: NDArray[np.intp], count: int, share: float
) -> NDArray[np.float64]:
    """The value of each owner that ``share`` of its weight does not exceed, (count,)."""
    # one key for both: several times faster than np.lexsort
    order = np.argsort((values - values.min()) / (np.ptp(values) + 1) + owner)
    reached = np.cumsum(weight[order])
    totals = np.bincount(owner, weight, minlength=count)
    wanted = np.cumsum(totals) - (1 - share) * totals
    return values[order[np.searchsorted(reached, wanted * (1 - 1e-12))]]


def signed_by_section(
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    sections: Sequence[NDArray[np.int8] | None],
    crs: CRS,
    pixel_size: float,
) -> _Figures:
    """Mean distance of the predicted boundary from front, left, right and upslope section of the reference outlines, outside positive.

    Taken at points of the reference outline's exterior at most a pixel apart, to the nearest point of the predicted boundary: where a
    tongue was mapped too short, the whole lack counts at its front.

    Parameters
    ----------
    predicted, reference : (n,) Polygon or MultiPolygon that correspond, in map units of ``crs``, on one map
    sections : (n,) of :func:`engine.sections.sections` for each reference outline, None where no axis is known
    pixel_size : metres

    Returns
    -------
    name of :data:`SECTION_FIGURES` -> (n,) metres, NaN where there is no such section
    """
    means = np.full((len(reference), len(SECTIONS)), np.nan)
    for indices, local, references in local_maps(reference, crs):
        predictions = predicted[indices] if local == crs else reproject(predicted[indices], crs, local)
        for index, ours, theirs in zip(indices, predictions, references, strict=True):
            section_of_segment = sections[index]
            if section_of_segment is None:
                continue
            ring = shapely.get_coordinates(theirs.exterior)
            passed = np.append(0.0, np.cumsum(np.hypot(*np.diff(ring, axis=0).T)))
            count = int(np.ceil(passed[-1] / pixel_size))
            at = (np.arange(count) + 0.5) * passed[-1] / count
            x, y = np.interp(at, passed, ring[:, 0]), np.interp(at, passed, ring[:, 1])
            distance = shapely.distance(ours.boundary, shapely.points(x, y))
            section = section_of_segment[np.searchsorted(passed, at, side="right") - 1]
            signed = np.where(shapely.contains_xy(ours, x, y), distance, -distance)
            points = np.bincount(section, minlength=len(SECTIONS))
            np.divide(np.bincount(section, signed, len(SECTIONS)), points, out=means[index], where=points > 0)
    return dict(zip(SECTION_FIGURES, means.T, strict=True))


def summary(distances: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Figures of :data:`BOUNDARY_FIGURES` and :data:`SECTION_FIGURES` over all pairs.

    Returns
    -------
    name -> ``n`` (pairs of which it is known), ``mean``, ``median``, ``q05``, ``q25``, ``q75``, ``q95`` (None without any), ``definition``
    """
    return {name: {**_spread(values), "definition": (BOUNDARY_FIGURES | SECTION_FIGURES)[name]} for name, values in distances.items()}


def _spread(values: NDArray[np.float64]) -> dict[str, float | int | None]:
    known = values[np.isfinite(values)]
    names = ("q05", "q25", "median", "q75", "q95")
    if not len(known):
        return {"n": 0, "mean": None, **dict.fromkeys(names)}
    quantiles = np.quantile(known, [0.05, 0.25, 0.5, 0.75, 0.95])
    return {"n": len(known), "mean": float(known.mean()), **dict(zip(names, map(float, quantiles), strict=True))}
