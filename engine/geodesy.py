"""Areas and lengths on the ellipsoid, for layers in any coordinate reference system.

An outline's area must not depend on the map it happens to be drawn on: planar areas are 0.08 % short in the middle of
a UTM zone, 70 % too large in Web Mercator at 40 degrees, and meaningless in degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from engine.errors import EngineError


@dataclass(frozen=True)
class _Rings:
    """All rings of n geometries, end to end, each closed.

    ``longitude``, ``latitude`` (vertices,) radians; ``first`` (rings,) index of each ring's first vertex;
    ``owner`` (rings,) index of the geometry; ``is_hole`` (rings,) bool.
    """

    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    first: NDArray[np.intp]
    owner: NDArray[np.intp]
    is_hole: NDArray[np.bool_]


def geodesic_area(geometries: NDArray[np.object_], crs: CRS) -> NDArray[np.float64]:
    """Area of polygons on the ellipsoid of their CRS, holes taken off.

    Edges are geodesics. The sphere of the ellipsoid's own surface carries the sum over all vertices at once: within
    1e-6 of the geodesic area (Karney 2013; QGIS) for edges of up to 30 km, within 1e-8 for those of outlines.
    Polygons may cross the antimeridian; they must not hold a pole.

    Parameters
    ----------
    geometries : (n,) Polygon or MultiPolygon in map units of ``crs``, x before y
    crs : geographic or projected

    Returns
    -------
    (n,) square metres

    Raises
    ------
    EngineError
        ``crs_place`` when coordinates lie where the CRS is not defined, ``crs_local`` when it has no place on the Earth.

    Source
    ------
    Snyder (1987), Map Projections, USGS PP 1395, equations 3-11 and 3-12: authalic latitude.
    """
    rings = _rings(geometries, crs)
    latitude, radius_squared = _authalic(rings.latitude, crs)
    step = np.diff(rings.longitude)
    step -= 2 * np.pi * np.round(step / (2 * np.pi))
    mean, half = (latitude[1:] + latitude[:-1]) / 2, (latitude[1:] - latitude[:-1]) / 2
    down_to_equator = 2 * np.arctan(np.tan(step / 2) * np.sin(mean) / np.cos(half))  # spherical excess under each edge
    ring_area = radius_squared * np.abs(_ring_sums(down_to_equator, rings))
    return _geometry_sums(np.where(rings.is_hole, -ring_area, ring_area), rings, len(geometries))


def geodesic_perimeter(geometries: NDArray[np.object_], crs: CRS) -> NDArray[np.float64]:
    """Length of all rings of polygons, holes included, on the ellipsoid of their CRS.

    Edges are geodesics, by the haversine formula with the radii of curvature at their middle: within 1e-10 of PROJ's and
    QGIS's lengths for edges of up to 1 km, within 3e-7 up to 100 km.

    Parameters
    ----------
    geometries : (n,) Polygon or MultiPolygon in map units of ``crs``, x before y
    crs : geographic or projected

    Returns
    -------
    (n,) metres

    Raises
    ------
    EngineError
        ``crs_place``, ``crs_local`` as :func:`geodesic_area`.

    Source
    ------
    Sinnott (1984), Virtues of the haversine, Sky and Telescope 68, 159; radii: Snyder (1987), USGS PP 1395, chapter 4.
    """
    rings = _rings(geometries, crs)
    ellipsoid = _geodetic(crs).ellipsoid
    assert ellipsoid is not None
    a, b = ellipsoid.semi_major_metre, ellipsoid.semi_minor_metre
    middle, north = (rings.latitude[1:] + rings.latitude[:-1]) / 2, np.diff(rings.latitude)
    east = np.diff(rings.longitude)
    east -= 2 * np.pi * np.round(east / (2 * np.pi))
    flattened = 1 - (1 - (b / a) ** 2) * np.sin(middle) ** 2
    meridian_radius, prime_radius = b * b / (a * flattened**1.5), a / np.sqrt(flattened)
    half_chord = np.hypot(meridian_radius * np.sin(north / 2) * np.cos(east / 2), prime_radius * np.cos(middle) * np.sin(east / 2))
    mean_radius = np.sqrt(meridian_radius * prime_radius)
    length = 2 * mean_radius * np.arcsin(half_chord / mean_radius)
    return _geometry_sums(_ring_sums(length, rings), rings, len(geometries))


def _authalic(latitude: NDArray[np.float64], crs: CRS) -> tuple[NDArray[np.float64], float]:
    """Latitudes (radians) on the sphere that has the ellipsoid's surface, and that sphere's squared radius in m2."""
    ellipsoid = _geodetic(crs).ellipsoid
    assert ellipsoid is not None
    a, b = ellipsoid.semi_major_metre, ellipsoid.semi_minor_metre
    if a == b:
        return latitude, a * a
    e = np.sqrt(1 - (b / a) ** 2)

    def below_parallel(sine: NDArray[np.float64]) -> NDArray[np.float64]:
        return b * b / 2 * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)

    whole = float(below_parallel(np.ones(1))[0])
    return np.arcsin(below_parallel(np.sin(latitude)) / whole), whole


def _ring_sums(edges: NDArray[np.float64], rings: _Rings) -> NDArray[np.float64]:
    """Sum over each ring's edges of (vertices - 1,) values; the edge that leads to the next ring does not count."""
    if not len(rings.first):
        return np.zeros(0)
    edges = edges.copy()
    edges[rings.first[1:] - 1] = 0
    return np.add.reduceat(edges, rings.first)


def _geometry_sums(ring_values: NDArray[np.float64], rings: _Rings, count: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(rings.owner, ring_values, minlength=count), dtype=np.float64)


def _rings(geometries: NDArray[np.object_], crs: CRS) -> _Rings:
    parts, part_owner = shapely.get_parts(geometries, return_index=True)
    lines, ring_part = shapely.get_rings(parts, return_index=True)
    places, ring_of_vertex = shapely.get_coordinates(lines, return_index=True)
    is_hole = np.diff(ring_part, prepend=-1) == 0
    first = np.searchsorted(ring_of_vertex, np.arange(len(lines)))
    longitude, latitude = _to_radians(places[:, 0], places[:, 1], crs)
    return _Rings(longitude, latitude, first, part_owner[ring_part], is_hole)


def _to_radians(x: NDArray[np.float64], y: NDArray[np.float64], crs: CRS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    geodetic = _geodetic(crs)
    if not crs.is_geographic:
        x, y = Transformer.from_crs(crs, geodetic, always_xy=True).transform(x, y)
    to_radian = geodetic.axis_info[0].unit_conversion_factor
    longitude, latitude = np.asarray(x) * to_radian, np.asarray(y) * to_radian
    if not np.isfinite(longitude).all() or (np.abs(latitude) > np.pi / 2).any():
        raise EngineError(
            "crs_place",
            f"Polygons lie outside the area where their coordinate reference system ({crs.name}) is defined. Check the CRS of the layer.",
        )
    return longitude, latitude


def _geodetic(crs: CRS) -> CRS:
    """The longitude and latitude that a CRS is built on, on its own ellipsoid."""
    geodetic = crs.geodetic_crs
    if geodetic is None or geodetic.ellipsoid is None:
        raise EngineError(
            "crs_local",
            f"The coordinate reference system {crs.name} has no place on the Earth, so areas cannot be measured. "
            "Assign the true CRS of the layer.",
        )
    return geodetic
