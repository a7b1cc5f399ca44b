"""How far predicted boundaries lie from reference boundaries, in metres."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

PIXELS = (1, 2, 5)
METRES = (10.0,)


def boundary_distances(
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    crs: CRS,
    pixel_size: float,
    axes: NDArray[np.object_] | None = None,
    check: Callable[[], None] = lambda: None,
) -> dict[str, NDArray[np.float64]]:
    """Boundary figures of pairs of outlines, (n,) each.

    Both boundaries are taken at points at most one pixel apart, their vertices among them; the distance of a point to the
    other boundary is exact. Figures of a boundary weigh points by the length they stand for, but PoLiS, which counts them.

    Parameters
    ----------
    predicted, reference : (n,) Polygon or MultiPolygon that correspond, in map units of ``crs``
    pixel_size : metres
    axes : (n,) LineString in map units of ``crs``, from root to front, or None: with them, signed distances by section

    Returns
    -------
    ``boundary_iou_1px``, ``boundary_iou_2px``, ``boundary_iou_5px``, ``boundary_iou_10m`` 0-1; ``polis_m``, ``mean_m``, ``median_m``,
    ``hd95_m``, ``hausdorff_m`` metres, symmetric; ``signed_mean_m``, ``signed_median_m`` metres at the predicted boundary, positive
    outside the reference outline; with ``axes`` ``signed_mean_front_m``, ``..._left_m``, ``..._right_m``, ``..._upslope_m`` too.
    """


def summary(distances: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Of each figure of :func:`boundary_distances`: ``n``, ``mean``, ``median``, ``q05``, ``q25``, ``q75``, ``q95`` and its ``definition``."""
