"""PrimaryID, the name of a rock glacier by its place: ``RGU384455N1092526W`` is the unit at 38.4455 N, 109.2526 W."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from engine.local_maps import on_one_map
from engine.vectors import PolygonLayer

STEPS_PER_DEGREE = 10_000
"""PrimaryID counts in ten-thousandths of a degree, 11 m of latitude."""

FORM = re.compile(r"RG[US](\d{6})[NS](\d{7})[EW]")


def primary_ids(
    outlines: NDArray[np.object_], crs: CRS, existing: NDArray[np.object_] | None = None, prefix: str = "RGU"
) -> NDArray[np.object_]:
    """PrimaryID of each outline, from a point on its surface in WGS84; ids that are there already are frozen.

    A valid existing id is kept as it is, even where the outline was edited since, and even where two outlines carry the same
    one (:func:`repeated` finds those). New ids are unique: in the order of the outlines, one whose id is taken gets the nearest
    free place on the grid of 0.0001 degrees, the northernmost and then the westernmost of equally near ones.

    Parameters
    ----------
    outlines : (n,) Polygon or MultiPolygon in map units of ``crs``; they may cross the antimeridian
    existing : (n,) ids given before, anything else (None, NaN, text of another form) where there is none
    prefix : ``RGU`` for units, ``RGS`` for systems

    Returns
    -------
    (n,) str of 18 characters; None where an outline is empty

    Source
    ------
    RGIK; README of the La Sal inventory (Kluetmeier 2026).
    """
    ids = np.full(len(outlines), None, dtype=object)
    if existing is not None:
        kept = np.array([is_primary_id(entry) for entry in existing], dtype=bool)
        ids[kept] = np.asarray(existing, dtype=object)[kept]
    taken = set(ids)
    new = np.flatnonzero((ids == None) & ~shapely.is_empty(outlines))  # noqa: E711 element by element
    longitude, latitude = markers(outlines[new], crs)
    for index, easting, northing in zip(new, _steps(longitude), _steps(latitude), strict=True):
        ids[index] = next(entry for entry in _nearest_first(northing, easting, prefix) if entry not in taken)
        taken.add(ids[index])
    return ids


def markers(outlines: NDArray[np.object_], crs: CRS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude (above -180, to 180) and latitude of a point on the surface of each outline (n,), in degrees of WGS84: (n,), (n,).

    On the surface, because the centroid of a bent tongue lies outside it.
    """
    whole = on_one_map([PolygonLayer(outlines, crs).in_crs("EPSG:4326")])[0]
    points = shapely.point_on_surface(whole)
    return 180 - (180 - shapely.get_x(points)) % 360, shapely.get_y(points)


def is_primary_id(value: object) -> bool:
    """Whether a value is a PrimaryID: of its form, and a place on the Earth."""
    parts = FORM.fullmatch(value) if isinstance(value, str) else None
    return parts is not None and int(parts[1]) <= 90 * STEPS_PER_DEGREE and int(parts[2]) <= 180 * STEPS_PER_DEGREE


def repeated(ids: NDArray[np.object_]) -> list[str]:
    """Ids that occur more than once, sorted; None is no id."""
    values, counts = np.unique([entry for entry in ids if entry is not None], return_counts=True)
    return [str(entry) for entry in values[counts > 1]]


def _steps(degrees: NDArray[np.float64]) -> list[int]:
    return [round(value * STEPS_PER_DEGREE) for value in degrees.tolist()]


def _primary_id(north: int, east: int, prefix: str) -> str:
    return f"{prefix}{abs(north):06d}{'N' if north >= 0 else 'S'}{abs(east):07d}{'E' if east >= 0 else 'W'}"


def _nearest_first(north: int, east: int, prefix: str) -> Iterator[str]:
    """The id of a place, then those of the places around it, square ring by square ring."""
    half, turn = 180 * STEPS_PER_DEGREE, 360 * STEPS_PER_DEGREE
    yield _primary_id(north, east, prefix)
    for ring in count(1):
        around = [(n, e) for n in range(ring, -ring - 1, -1) for e in range(-ring, ring + 1) if max(abs(n), abs(e)) == ring]
        for n, e in sorted(around, key=lambda place: place[0] ** 2 + place[1] ** 2):
            if abs(north + n) <= 90 * STEPS_PER_DEGREE:
                yield _primary_id(north + n, (east + e + half) % turn - half if abs(east + e) > half else east + e, prefix)
