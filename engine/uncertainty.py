"""How sure the network is of each outline: spread of the probability, areas that it bounds, sharpness of the boundary's sections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.io import DatasetReader

from engine.reporting import Reporter


def levels_around_threshold(probability: DatasetReader, lo: float, hi: float, reporter: Reporter) -> tuple[float, float]:
    """The levels (0-1) meant for a threshold of 0.5, brought to the threshold in the raster's passport (tag THRESHOLD).

    They keep their distance from it in log-odds. Unchanged where the passport names no threshold or 0.5; told otherwise.

    Raises
    ------
    EngineError
        ``uncertainty_levels`` unless 0 < hi < lo < 1.
    """
    raise NotImplementedError


def uncertainty(
    outlines: NDArray[np.object_],
    crs: CRS,
    probability: DatasetReader,
    levels: tuple[float, float],
    sections: Sequence[NDArray[np.int8] | None],
    reporter: Reporter,
) -> dict[str, NDArray[np.float64]]:
    """What the blended probability says about each outline.

    Parameters
    ----------
    outlines : (n,) Polygon in map units of ``crs``
    probability : open raster of one band, 0-1, NaN or nodata where not observed, in any CRS
    levels : lo, hi from :func:`levels_around_threshold`
    sections : (n,) of :func:`engine.sections.sections` for each outline's exterior, None where no axis is known

    Returns
    -------
    (n,) each, NaN where unknown: ``probability_mean``, ``probability_sd``, ``area_lo_km2``, ``area_hi_km2``,
    ``reliability_front``, ``reliability_left``, ``reliability_right``, ``reliability_upslope`` (0, 1, 2)
    """
    raise NotImplementedError
