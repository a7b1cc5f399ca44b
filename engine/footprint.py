"""Restricted footprints: the extended one without the talus of front and sides."""

from __future__ import annotations

import shapely

from engine.terrain import ElevationGrid


def restricted_footprint(outline: shapely.Polygon, elevation: ElevationGrid, axis: shapely.LineString) -> shapely.Polygon | None:
    """The restricted footprint proposed for an extended one: its top surface, bounded by the slope break above the talus.

    Parameters
    ----------
    outline : extended footprint in metres, in ``elevation.crs``
    elevation : around the outline
    axis : downslope line from roots to front, on the same map

    Returns
    -------
    within the outline, without holes; None where no slope break is found along half of front and sides
    """
    raise NotImplementedError
