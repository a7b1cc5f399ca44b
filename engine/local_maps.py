"""Maps in metres for outlines anywhere: distances, buffers and slopes need one, areas and inventories do not stop at a zone's edge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Proj, Transformer

from engine.errors import EngineError
from engine.geodesy import geodesic_area
from engine.vectors import PolygonLayer, reproject

SAME_AREA = 0.01
"""Share by which a layer's area may change when it comes to another map, whose straight edges are not quite the same."""

TRUE_TO_SCALE = 0.02
"""A map whose scale is off by more than this where the outlines lie does not measure in metres."""


def local_maps(geometries: NDArray[np.object_], crs: CRS) -> Iterator[tuple[NDArray[np.intp], CRS, NDArray[np.object_]]]:
    """Geometries in metres, group by group: in their own CRS where it measures in metres there, else in the UTM zone of their middle.

    A geometry stays whole, in one zone, where it spans two or the antimeridian.

    Parameters
    ----------
    geometries : (n,) in map units of ``crs``

    Yields
    ------
    indices (m,) into ``geometries``, the CRS of the group, and its geometries (m,) in metres. Every index comes once;
    none at all where ``geometries`` is empty.
    """
    if not len(geometries):
        return
    longitude, latitude = middle_in_degrees(geometries, crs)
    if _measures_in_metres(crs, longitude, latitude):
        yield np.arange(len(geometries)), crs, geometries
        return
    zone = ((longitude + 180) // 6).astype(int) % 60 + 1
    code = np.where(latitude >= 84, 5041, np.where(latitude <= -80, 5042, np.where(latitude >= 0, 32600, 32700) + zone))
    for epsg in np.unique(code):
        indices = np.flatnonzero(code == epsg)
        local = CRS.from_epsg(int(epsg))
        yield indices, local, reproject(geometries[indices], crs, local)


def middle_in_degrees(geometries: NDArray[np.object_], crs: CRS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude (-180 to 180) and latitude (WGS84) of the middle of each geometry's bounds, (n,), (n,)."""
    bounds = shapely.bounds(geometries)
    x, y = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
    longitude, latitude = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    return (np.asarray(longitude) + 180) % 360 - 180, np.asarray(latitude)


def _measures_in_metres(crs: CRS, longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> bool:
    if not crs.is_projected or any(axis.unit_conversion_factor != 1 for axis in crs.axis_info[:2]):
        return False
    factors = Proj(crs).get_factors(longitude, latitude, errcheck=False)
    scales = np.array([factors.meridional_scale, factors.parallel_scale])
    return bool((np.abs(scales - 1) < TRUE_TO_SCALE).all())


def on_one_map(layers: Sequence[PolygonLayer]) -> list[NDArray[np.object_]]:
    """The geometries of several layers, those of each (n_i,), on the map of the first layer, so that they can be laid over each other.

    In longitudes, outlines stay whole where they cross the antimeridian and layers may count from -180 or from 0:
    the cut between east and west goes where no outline is. Empty ones, and None, are nowhere.
    """
    crs = layers[0].crs
    placed = [layer.in_crs(crs).geometries for layer in layers]
    if not crs.is_geographic or not any(len(geometries) for geometries in placed):
        return placed
    turn = 2 * np.pi / crs.axis_info[0].unit_conversion_factor
    whole = [_whole(geometries, turn) for geometries in placed]
    middles = np.concatenate([shapely.bounds(geometries)[:, [0, 2]].mean(axis=1) for geometries in whole])
    middles = middles[np.isfinite(middles)]
    if not len(middles):
        return placed
    around = np.sort(middles % turn)
    gaps = np.diff(np.append(around, around[0] + turn))
    cut = (around[gaps.argmax()] + gaps.max() / 2) % turn
    start = cut if cut <= turn / 2 else cut - turn
    turned = []
    for geometries in whole:
        middle = shapely.bounds(geometries)[:, [0, 2]].mean(axis=1) if len(geometries) else np.empty(0)
        shift = start + (middle - start) % turn - middle
        shift = turn * np.round(shift / turn)
        places, owner = shapely.get_coordinates(geometries, return_index=True)
        places[:, 0] += shift[owner]
        turned.append(shapely.set_coordinates(geometries.copy(), places) if shift.any() else geometries)
    return turned


def keeps_its_area(layer: PolygonLayer, placed: NDArray[np.object_], crs: CRS) -> bool:
    """Whether a layer's polygons are on another map, ``placed`` (n,), what they were; not so beyond the area where ``crs`` is defined."""
    if layer.crs == crs:
        return True
    if not np.isfinite(shapely.get_coordinates(placed)).all():
        return False
    before = geodesic_area(layer.geometries, layer.crs).sum()
    try:
        return bool(abs(geodesic_area(placed, crs).sum() - before) <= SAME_AREA * before)
    except EngineError:
        return False


def _whole(geometries: NDArray[np.object_], turn: float) -> NDArray[np.object_]:
    """Geometries whose vertices lie on both sides of the antimeridian, put together again."""
    wide = np.flatnonzero(np.diff(shapely.bounds(geometries)[:, [0, 2]], axis=1).ravel() > turn / 2)
    if not len(wide):
        return geometries
    together = geometries.copy()
    for index in wide:
        x = shapely.get_coordinates(geometries[index])[:, 0]
        together[index] = shapely.transform(geometries[index], lambda places, first=x[0]: _near(places, first, turn))
        if geometries[index].geom_type == "MultiPolygon":  # cut along the meridian, as GeoJSON asks for
            together[index] = shapely.union_all(shapely.get_parts(together[index]))
    return together


def _near(places: NDArray[np.float64], first: float, turn: float) -> NDArray[np.float64]:
    moved = places.copy()
    moved[:, 0] -= turn * np.round((places[:, 0] - first) / turn)
    return moved
