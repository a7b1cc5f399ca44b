"""Outlines cut back to the contour of the blended probability, on rasters whose contour is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from engine.contours import contoured
from engine.reporting import SilentReporter
from engine.vectors import reproject

UTM = CRS.from_epsg(32645)
LEFT, TOP = 500_000.0, 3_100_000.0


def blended(folder: Path, values: NDArray[np.float64]) -> str:
    """Pixels of 10 m, upper left corner at LEFT, TOP."""
    path = str(folder / "probability.tif")
    rows, columns = values.shape
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "crs": "EPSG:32645", "nodata": np.nan}
    with rasterio.open(path, "w", width=columns, height=rows, transform=Affine(10, 0, LEFT, 0, -10, TOP), **profile) as dataset:
        dataset.write(values.astype(np.float32), 1)
    return path


def pixels(left: float, top: float, right: float, bottom: float) -> shapely.Polygon:
    """A rectangle given in columns and rows."""
    return shapely.box(LEFT + 10 * left, TOP - 10 * bottom, LEFT + 10 * right, TOP - 10 * top)


@pytest.fixture
def values() -> NDArray[np.float64]:
    """0.9 in columns 4-9 of rows 3-9, 0.2 elsewhere."""
    field = np.full((20, 30), 0.2)
    field[3:10, 4:10] = 0.9
    return field


def cut(path: str, *outlines: shapely.Polygon, crs: CRS = UTM) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    with rasterio.open(path) as dataset:
        return contoured(np.array(outlines, dtype=object), crs, dataset, 0.5, SilentReporter())


def test_a_tiles_straight_edge_gives_way_to_the_contour(tmp_path: Path, values: NDArray[np.float64]) -> None:
    polygons, owner = cut(blended(tmp_path, values), pixels(2, 2, 20, 12))
    assert list(owner) == [0]
    assert polygons[0].equals(pixels(4, 3, 10, 10))


def test_only_ground_inside_counts(tmp_path: Path, values: NDArray[np.float64]) -> None:
    polygons, _ = cut(blended(tmp_path, values), pixels(0, 0, 6, 12))
    assert polygons[0].equals(pixels(4, 3, 6, 10))


def test_an_outline_falls_apart_or_vanishes(tmp_path: Path, values: NDArray[np.float64]) -> None:
    values[6, :] = 0.2
    polygons, owner = cut(blended(tmp_path, values), pixels(20, 2, 25, 12), pixels(2, 2, 15, 12))
    assert list(owner) == [1, 1]
    assert sorted(polygon.area for polygon in polygons) == [6 * 3 * 100, 6 * 3 * 100]


def test_outlines_keep_their_order(tmp_path: Path, values: NDArray[np.float64]) -> None:
    within, beyond = pixels(5, 4, 8, 8), pixels(2, 2, 12, 12)
    polygons, owner = cut(blended(tmp_path, values), beyond, within, beyond)
    assert list(owner) == [0, 1, 2]
    assert polygons[1] is within


def test_what_is_not_observed_stays(tmp_path: Path, values: NDArray[np.float64]) -> None:
    values[3:10, 10:12] = np.nan
    polygons, _ = cut(blended(tmp_path, values), pixels(2, 2, 20, 12))
    assert polygons[0].equals(pixels(4, 3, 12, 10))


def test_an_outline_that_the_raster_does_not_cover_stays(tmp_path: Path, values: NDArray[np.float64]) -> None:
    outline = pixels(25, 2, 40, 12)
    polygons, owner = cut(blended(tmp_path, values), outline)
    assert polygons[0] is outline
    assert list(owner) == [0]


def test_degrees(tmp_path: Path, values: NDArray[np.float64]) -> None:
    degrees = CRS.from_epsg(4326)
    polygons, _ = cut(blended(tmp_path, values), *reproject(np.array([pixels(2, 2, 20, 12)]), UTM, degrees), crs=degrees)
    back = reproject(polygons, degrees, UTM)[0]
    assert back.symmetric_difference(pixels(4, 3, 10, 10)).area < 1.0


def test_nothing_in_nothing_out(tmp_path: Path, values: NDArray[np.float64]) -> None:
    polygons, owner = cut(blended(tmp_path, values))
    assert (len(polygons), len(owner)) == (0, 0)
