"""Outlines along the contour of the blended probability, where the union of tiles reaches beyond it."""

from __future__ import annotations

import math

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import rasterize, shapes
from rasterio.io import DatasetReader
from rasterio.windows import Window

from engine.local_maps import on_one_map
from engine.rasters import read_observed
from engine.reporting import Reporter
from engine.uncertainty import on_pixels
from engine.vectors import PolygonLayer


def contoured(
    outlines: NDArray[np.object_], crs: CRS, probability: DatasetReader, threshold: float, reporter: Reporter
) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """Outlines cut back to the ground whose blended probability reaches the threshold, along pixel edges.

    The union holds whatever any one tile saw, and ends in a straight line where that tile does. In the blended probability the
    tiles that saw less have their say, and no tile's edge shows. Ground about which the raster says nothing stays, and so do outlines that
    it does not cover as a whole.

    Parameters
    ----------
    outlines : (n,) Polygon in map units of ``crs``
    probability : open raster, its first band 0-1, NaN or nodata where not observed, in any CRS
    threshold : 0-1, of the model

    Returns
    -------
    (k,) Polygon in map units of ``crs``; pixels that touch at a corner alone belong to two of them. And the index, (k,), of the
    outline that each was part of: an outline may fall apart, or vanish.

    Raises
    ------
    EngineError
        ``truncated_file``; Cancelled.
    """
    placed = on_pixels(outlines, crs, probability)
    traced: list[shapely.Polygon] = []
    untouched: list[int] = []
    owners: list[int] = []
    for index, outline in enumerate(placed):
        if index % 64 == 0:
            reporter.progress(index / len(placed))
        pieces = _pieces(outline, probability, threshold)
        if pieces is None:
            untouched.append(index)
        else:
            traced += pieces
            owners += [index] * len(pieces)
    on_map = shapely.transform(np.array(traced, dtype=object), lambda x, y: probability.transform @ (x, y), interleaved=False)
    raster_crs = CRS.from_wkt(probability.crs.to_wkt())
    polygons = on_one_map([PolygonLayer(outlines, crs), PolygonLayer(on_map, raster_crs)])[1]
    order = np.argsort(np.array([*owners, *untouched], dtype=np.intp), kind="stable")
    return np.concatenate([polygons, outlines[untouched]])[order], np.array([*owners, *untouched], dtype=np.intp)[order]


def _pieces(outline: shapely.Polygon, probability: DatasetReader, threshold: float) -> list[shapely.Polygon] | None:
    """In columns and rows; None where the whole outline reaches the threshold, or the raster knows nothing of it."""
    if outline.is_empty:
        return None
    left, top, right, bottom = np.round(outline.bounds, 6)
    if left < 0 or top < 0 or right > probability.width or bottom > probability.height:
        return None
    columns, rows = (math.floor(left), math.ceil(right)), (math.floor(top), math.ceil(bottom))
    place = Affine.translation(columns[0], rows[0])
    values = read_observed(probability, [1], Window(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0]))[0]
    inside = rasterize([outline], out_shape=values.shape, transform=place, dtype="uint8") > 0
    kept = inside & ~(values < threshold)
    if (kept == inside).all():
        return None
    traced = shapes(kept.view(np.uint8), mask=kept, connectivity=4, transform=place)
    return [shapely.Polygon(piece["coordinates"][0], piece["coordinates"][1:]) for piece, _ in traced]
