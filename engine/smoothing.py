"""Boundaries that look drawn: the pixel edges of outlines smoothed away, without moving ground from one outline to another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smooth(outlines: NDArray[np.object_], tolerance: float) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Outlines without their pixel edges, of the same area.

    Boundaries are cut into arcs where three faces meet (two outlines and the ground outside, or three outlines). Each arc is
    simplified, smoothed and moved so that the area to its left and right stays what it was; its ends stay where they were.
    Two neighbours get the identical arc, so a shared border stays shared. Straight runs stay straight.

    Parameters
    ----------
    outlines : (n,) valid Polygon in metres, holes allowed, overlaps allowed; neighbours that share a border on the same map
    tolerance : how far a boundary may move, metres; 0 or NaN: nothing is smoothed

    Returns
    -------
    smoothed : (n,) valid Polygon, area within 1 % of the raw one's, as many holes, no overlap that was not there
    changed : (n,) False for those that stayed as they were because they could not keep all that at any tolerance
    """
    raise NotImplementedError


def pixel_size_of(outlines: NDArray[np.object_]) -> float:
    """Size in metres of the pixels whose edges the outlines follow, from the lengths of their edges.

    Parameters
    ----------
    outlines : (n,) Polygon in metres

    Returns
    -------
    mean of width and height where they differ; NaN where the outlines do not follow pixels (hand-drawn, smoothed) or there are none
    """
    raise NotImplementedError
