"""Front, left, right and upslope section of an outline, as RGIK's reliability of outlines and accuracy figures tell them apart."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

SECTIONS = ("front", "left", "right", "upslope")
FRONT, LEFT, RIGHT, UPSLOPE = range(4)

FACING = np.cos(np.radians(45.0))
"""Cosine of the angle between the outward normal and the axis up to which boundary faces along it and not across."""


def sections(outline: shapely.Polygon, axis: shapely.LineString) -> NDArray[np.int8]:
    """Section of each segment of an outline's exterior.

    Each section is one run of the boundary. From the place where the axis leaves the outline downslope, the front reaches on
    both sides to the place that best separates boundary that faces downslope from boundary that does not: its outward normal is
    within 45 degrees of the direction of the axis beside it. A pointed front has a quarter of the outline's width on each side all
    the same. The upslope section likewise from where the axis enters.
    What is left between them are the sides, left and right as one looks downslope (orographic). Normals and directions are
    those of stretches a quarter and half as long as the outline is wide, so that neither pixel edges nor a winding axis matter.

    Parameters
    ----------
    outline : in metres, any orientation of the ring
    axis : downslope line from roots to front (:func:`engine.fall_line.fall_line`), on the same map

    Returns
    -------
    (segments,) FRONT, LEFT, RIGHT or UPSLOPE of each segment between ``outline.exterior.coords``, in their order
    """
    ring = shapely.get_coordinates(outline.exterior) @ [1, 1j]
    anticlockwise = outline.exterior.is_ccw
    start, following = (ring[:-1], ring[1:]) if anticlockwise else (ring[:0:-1], ring[-2::-1])
    length = np.abs(following - start)
    passed = np.concatenate([[0.0], np.cumsum(length)])
    middle = (passed[:-1] + passed[1:]) / 2
    width = min(outline.area / axis.length, passed[-1] / 4)

    def on_ring(at: NDArray[np.float64]) -> NDArray[np.complex128]:
        return np.interp(at, passed, np.append(start, start[:1]), period=passed[-1])

    stretch = width / 8
    tangent = on_ring(middle + stretch) - on_ring(middle - stretch)
    outward = -1j * tangent / np.maximum(np.abs(tangent), 1e-12)
    downslope = _directions(axis, on_ring(middle), width / 4)
    facing = (outward * downslope.conj()).real

    boundary = shapely.linestrings(np.column_stack([np.append(start, start[0]).real, np.append(start, start[0]).imag]))
    leaving = [shapely.line_locate_point(boundary, _leaving(outline, line)) for line in (axis, axis.reverse())]
    front, roots = np.clip(np.searchsorted(passed, leaving, side="right") - 1, 0, len(length) - 1)
    order = (front + np.arange(len(length))) % len(length)  # anticlockwise from the front: the left side comes first
    left, right = np.split(order, [(roots - front) % len(length)])
    section = np.empty(len(length), dtype=np.int8)
    for run, side in ((left, LEFT), (right[::-1], RIGHT)):
        section[run] = side
        end = _reach(facing[run], length[run], width / 4)
        begin = len(run) - _reach(-facing[run[::-1]], length[run[::-1]], width / 4)
        section[run[max(begin, end) :]] = UPSLOPE
        section[run[:end]] = FRONT
    return section if anticlockwise else section[::-1]


def _directions(axis: shapely.LineString, places: NDArray[np.complex128], stretch: float) -> NDArray[np.complex128]:
    """Unit vectors down the axis beside places (k,), over a stretch before and after."""
    along = shapely.line_locate_point(axis, shapely.points(places.real, places.imag))
    ends = [np.clip(along + shift, 0.0, axis.length) for shift in (-stretch, stretch)]
    before, after = (shapely.get_coordinates(shapely.line_interpolate_point(axis, end)) @ [1, 1j] for end in ends)
    return (after - before) / np.maximum(np.abs(after - before), 1e-12)


def _leaving(outline: shapely.Polygon, axis: shapely.LineString) -> shapely.Point:
    """Where the axis, made longer, leaves the outline after its last point."""
    end = axis.coords[-1]
    before = axis.line_interpolate_point(max(axis.length - outline.area / axis.length / 2, 0.0)).coords[0]
    heading = np.subtract(end, before)
    far = np.add(end, heading / max(np.hypot(*heading), 1e-12) * outline.exterior.length)
    hits = shapely.LineString([end, far]).intersection(outline.exterior)
    return shapely.Point(shapely.shortest_line(outline.exterior if hits.is_empty else hits, shapely.Point(end)).coords[0])


def _reach(facing: NDArray[np.float64], length: NDArray[np.float64], least: float) -> int:
    """Number of segments (k,) from the start that belong to an end: after them, what faces along the axis outweighs the rest the most."""
    votes = np.where(facing > FACING, length, -length)
    return max(int(np.argmax(np.append(0.0, np.cumsum(votes)))), int(np.searchsorted(np.cumsum(length), least)))
