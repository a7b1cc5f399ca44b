"""The polygons that tiles drew become objects: holes filled, support by other tiles, union.

Source
------
Lin et al. (2024), section 3.4.2, steps 2, 4 and 5.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from engine.pixel_union import unite_on_pixels
from engine.reporting import Reporter
from engine.threads import in_threads

GROUPS_AT_ONCE = 512
"""Groups of polygons that one thread unites between two looks at whether the person cancelled."""


def fill_holes(polygons: NDArray[np.object_], group: NDArray[np.intp]) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Polygons (n,) without holes, and which of them (n,) stay free.

    An island in the hole of a polygon of its own group (the same tile) is part of that polygon afterwards: it is not free.
    """
    free = np.ones(len(polygons), dtype=bool)
    holed = np.flatnonzero(shapely.get_num_interior_rings(polygons) > 0)
    filled = polygons.copy()
    filled[holed] = shapely.polygons(shapely.get_exterior_ring(polygons[holed]))
    outer, inner = shapely.STRtree(filled).query(filled[holed], predicate="contains")
    outer = holed[outer]
    area = shapely.area(filled)
    free[inner[(group[outer] == group[inner]) & (area[inner] < area[outer])]] = False
    return filled, free


def meeting_pairs(polygons: NDArray[np.object_]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Pairs (m, 2) of polygons that have a point in common, smaller index first, and whether they clearly share ground (m,).

    Clearly: an inner point of one lies in the other. The cheapest test there is settles most pairs of tile polygons.
    """
    inner_points = shapely.point_on_surface(polygons)
    shapely.prepare(polygons)
    pairs = shapely.STRtree(polygons).query(polygons)
    first, second = pairs[:, pairs[0] < pairs[1]]
    clearly = shapely.contains(polygons[first], inner_points[second]) | shapely.contains(polygons[second], inner_points[first])
    meeting = clearly.copy()
    meeting[~clearly] = shapely.intersects(polygons[first[~clearly]], polygons[second[~clearly]])
    return np.column_stack([first[meeting], second[meeting]]), clearly[meeting]


def supported(
    polygons: NDArray[np.object_], tile: NDArray[np.intp], pairs: NDArray[np.intp], clearly: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which polygons (n,) share ground with a polygon of another tile; an edge or a corner is no ground.

    Parameters
    ----------
    polygons : (n,) Polygon
    tile : (n,) the tile of each
    pairs, clearly : (m, 2), (m,) from :func:`meeting_pairs`
    """
    marks = np.zeros(len(polygons), dtype=bool)
    of_two_tiles = tile[pairs[:, 0]] != tile[pairs[:, 1]]
    marks[pairs[of_two_tiles & clearly]] = True
    doubtful = pairs[of_two_tiles & ~clearly & ~marks[pairs].all(axis=1)]
    marks[doubtful[~shapely.touches(polygons[doubtful[:, 0]], polygons[doubtful[:, 1]])]] = True
    return marks


def unite(polygons: NDArray[np.object_], pairs: NDArray[np.intp], reporter: Reporter) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """Polygons that share ground or an edge become one; those that meet in a corner stay apart.

    Parameters
    ----------
    polygons : (n,) Polygon
    pairs : (m, 2) from :func:`meeting_pairs`

    Returns
    -------
    (k,) Polygon, and for each of the n polygons the index of the one it became part of
    """
    groups = _groups(len(polygons), pairs)
    done = 0

    def united(batch: slice) -> list[shapely.Geometry]:
        return _unions(polygons, groups[batch])

    def tell() -> None:
        nonlocal done
        done += GROUPS_AT_ONCE
        reporter.progress(min(done / len(groups), 1.0))

    shapes: list[shapely.Geometry] = []
    became = np.zeros(len(polygons), dtype=np.intp)
    unions = [union for batch in in_threads(united, len(groups), GROUPS_AT_ONCE, tell) for union in batch]
    for members, union in zip(groups, unions, strict=True):
        parts = [union] if union.geom_type == "Polygon" else list(union.geoms)
        became[members] = len(shapes)
        if len(parts) > 1:
            member, part = shapely.STRtree(parts).query(shapely.point_on_surface(polygons[members]), predicate="intersects")
            became[members[member]] += part
        shapes.extend(parts)
    return np.array(shapes, dtype=object), became


def _unions(polygons: NDArray[np.object_], groups: list[NDArray[np.intp]]) -> list[shapely.Geometry]:
    """The union of each group of polygons: in whole pixels where they follow the edges of the same ones, else by GEOS."""
    unions = [polygons[members[0]] if len(members) == 1 else None for members in groups]
    several = [number for number, union in enumerate(unions) if union is None]
    if several:
        members = np.concatenate([groups[number] for number in several])
        on_pixels = unite_on_pixels(polygons[members], np.repeat(np.arange(len(several)), [len(groups[number]) for number in several]))
        for position, number in enumerate(several):
            union = None if on_pixels is None else on_pixels[position]
            unions[number] = shapely.union_all(polygons[groups[number]]) if union is None else union
    return unions


def _groups(count: int, pairs: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """The indices of ``count`` things that ``pairs`` (m, 2) connect, group by group."""
    connections = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    label = connected_components(connections, directed=False)[1]
    order = np.argsort(label, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1) if count else []
