"""Elevation in metres from models on any grid, and Horn's slope and aspect on surfaces whose slope is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS, Transformer

from engine.rasters import open_raster
from engine.terrain import ElevationGrid, elevation_around, horn

UTM = CRS.from_epsg(32645)
LEFT, TOP = 600_000.0, 3_100_000.0


def plane(x: Any, y: Any) -> Any:
    """Falls 0.3 m a metre to the south and 0.1 to the west, in UTM 45 N."""
    return 5000 + 0.1 * (x - LEFT) + 0.3 * (y - TOP)


PLANE_SLOPE = np.degrees(np.arctan(np.hypot(0.1, 0.3)))
PLANE_ASPECT = 180 + np.degrees(np.arctan2(0.1, 0.3))


def write_dem(path: Path, values: Any, transform: Affine, crs: str, **profile: Any) -> Path:
    values = np.asarray(values, dtype=np.float32)
    with rasterio.open(
        path, "w", driver="GTiff", crs=crs, transform=transform, height=values.shape[0], width=values.shape[1], count=1, dtype="float32",
        **profile,
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
    return path


def plane_dem(path: Path, transform: Affine, crs: str, shape: tuple[int, int]) -> Path:
    """The plane on any grid: each cell has the elevation at its centre."""
    columns, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    x, y = transform @ (columns, rows)
    x, y = Transformer.from_crs(crs, UTM, always_xy=True).transform(x, y)
    return write_dem(path, plane(x, y), transform, crs)


def grid(values: Any, width: float = 10.0, height: float = 10.0) -> ElevationGrid:
    return ElevationGrid(np.asarray(values, dtype=np.float64), Affine(width, 0, LEFT, 0, -height, TOP), UTM)


class TestHorn:
    @pytest.mark.parametrize(
        ("east", "north", "aspect"),
        [(0, 1, 180), (0, -1, 0), (1, 0, 270), (-1, 0, 90), (1, 1, 225), (-1, 1, 135), (-1, -1, 45), (1, -1, 315)],
    )
    def test_the_aspect_is_where_the_slope_faces(self, east, north, aspect):
        rows, columns = np.mgrid[:5, :5]
        slope, facing = horn(grid(10.0 * (east * columns - north * rows)))
        assert facing[2, 2] == pytest.approx(aspect)
        assert slope[2, 2] == pytest.approx(np.degrees(np.arctan(np.hypot(east, north))))

    def test_cells_that_are_not_square(self):
        rows, columns = np.mgrid[:4, :4]
        slope, facing = horn(grid(0.2 * 25 * columns + 0.3 * 40 * rows, width=25, height=40))
        assert slope[1:-1, 1:-1] == pytest.approx(np.degrees(np.arctan(np.hypot(0.2, 0.3))))
        assert facing[1:-1, 1:-1] == pytest.approx(np.degrees(np.arctan2(-0.2, 0.3)) % 360)

    def test_weights_of_the_neighbours(self):
        # Horn's formula written out for one cell: a b c / d e f / g h i
        a, b, c, d, e, f, g, h, i = z = np.array([3.0, 7, 1, 4, 100, 8, 2, 9, 5])
        east, south = ((c + 2 * f + i) - (a + 2 * d + g)) / 80, ((g + 2 * h + i) - (a + 2 * b + c)) / 80
        slope, facing = horn(grid(z.reshape(3, 3)))
        assert slope[1, 1] == pytest.approx(np.degrees(np.arctan(np.hypot(east, south))))
        assert facing[1, 1] == pytest.approx(np.degrees(np.arctan2(-east, south)) % 360)

    def test_flat_ground_has_a_slope_and_no_aspect(self):
        slope, facing = horn(grid(np.full((3, 3), 4000.0)))
        assert slope[1, 1] == 0 and np.isnan(facing[1, 1])

    def test_unknown_beside_the_edge_and_beside_unknown_cells(self):
        values = np.add.outer(np.arange(6.0), np.arange(6.0))
        values[3, 4] = np.nan
        known = np.isfinite(horn(grid(values))[0])
        expected = np.zeros((6, 6), dtype=bool)
        expected[1, 1:5] = expected[2:5, 1:3] = True
        assert (known == expected).all()

    @pytest.mark.parametrize("shape", [(1, 1), (2, 5), (0, 4)])
    def test_grids_too_small_for_a_slope(self, shape):
        slope, facing = horn(grid(np.zeros(shape)))
        assert slope.shape == facing.shape == shape and np.isnan(slope).all()


class TestElevationAround:
    BOUNDS = (LEFT + 400, TOP - 700, LEFT + 600, TOP - 500)

    def test_cells_as_they_are(self, tmp_path):
        path = plane_dem(tmp_path / "dem.tif", Affine(10, 0, LEFT, 0, -10, TOP), "EPSG:32645", (100, 100))
        with open_raster(path) as dataset:
            elevation = elevation_around(dataset, self.BOUNDS, UTM, margin_m=20)
        assert elevation.values.shape == (24, 24) and elevation.cell == (10, 10)
        assert (elevation.transform.c, elevation.transform.f) == (LEFT + 380, TOP - 480)
        assert elevation.values[0, 0] == pytest.approx(plane(LEFT + 385, TOP - 485), abs=1e-3)

    @pytest.mark.parametrize(
        ("transform", "crs"),
        [
            (Affine(1 / 3600, 0, 88.0, 0, -1 / 3600, 28.03), "EPSG:4326"),
            (Affine(8, 6, LEFT, 6, -8, TOP - 500), "EPSG:32645"),
            (Affine(10, 0, LEFT - 50, 0, 10, TOP - 1500), "EPSG:32645"),
            (Affine(40, 0, 1_960_000 * 5, 0, -40, 3_270_000), "EPSG:3857"),
            (Affine(20, 0, 10_600, 0, -20, 3_100_000), "EPSG:32646"),
        ],
        ids=["degrees", "rotated", "south-up", "web mercator", "another zone"],
    )
    def test_other_grids_are_resampled(self, tmp_path, transform, crs):
        # wherever the grid lies, the plane has the same slope and aspect on it
        inverse = ~transform
        middle = Transformer.from_crs(UTM, crs, always_xy=True).transform(LEFT + 500, TOP - 600)
        column, row = inverse @ middle
        transform = transform @ Affine.translation(round(column) - 75, round(row) - 75)
        path = plane_dem(tmp_path / "dem.tif", transform, crs, (150, 150))
        with open_raster(path) as dataset:
            elevation = elevation_around(dataset, self.BOUNDS, UTM, margin_m=100)
        columns, rows = np.meshgrid(np.arange(elevation.values.shape[1]) + 0.5, np.arange(elevation.values.shape[0]) + 0.5)
        x, y = elevation.transform @ (columns, rows)
        assert elevation.values == pytest.approx(plane(x, y), abs=0.5)  # GDAL places cells to an eighth of a cell
        slope, aspect = horn(elevation)
        assert np.nanmean(slope) == pytest.approx(PLANE_SLOPE, abs=0.05)
        assert np.nanmean(aspect) == pytest.approx(PLANE_ASPECT, abs=0.2)

    def test_feet_on_the_map(self, tmp_path):
        path = write_dem(tmp_path / "dem.tif", np.full((50, 50), 3000.0), Affine(100, 0, 3_100_000, 0, -100, 1_700_000), "EPSG:2232")
        x, y = Transformer.from_crs("EPSG:2232", "EPSG:32613", always_xy=True).transform(3_102_500, 1_697_500)
        with open_raster(path) as dataset:
            elevation = elevation_around(dataset, (x - 100, y - 100, x + 100, y + 100), CRS.from_epsg(32613))
        assert elevation.cell[0] == pytest.approx(100 * 0.3048, rel=0.01)
        assert elevation.values == pytest.approx(3000)

    def test_coarser_cells_take_the_mean(self, tmp_path):
        values = np.indices((80, 80)).sum(axis=0) % 2 * 100.0
        path = write_dem(tmp_path / "dem.tif", values, Affine(2, 0, LEFT, 0, -2, TOP), "EPSG:32645")
        with open_raster(path) as dataset:
            elevation = elevation_around(dataset, (LEFT, TOP - 160, LEFT + 160, TOP), UTM, resolution=20)
        assert elevation.cell == (20, 20) and elevation.values == pytest.approx(50)

    def test_nodata_is_unknown(self, tmp_path):
        values = np.full((20, 20), 4000.0)
        values[:, 10:] = -9999
        path = write_dem(tmp_path / "dem.tif", values, Affine(10, 0, LEFT, 0, -10, TOP), "EPSG:32645", nodata=-9999)
        with open_raster(path) as dataset:
            elevation = elevation_around(dataset, (LEFT, TOP - 200, LEFT + 200, TOP), UTM)
            assert elevation_around(dataset, (LEFT + 150, TOP - 100, LEFT + 180, TOP - 50), UTM) is None
        assert (np.isfinite(elevation.values) == (np.arange(20) < 10)).all()

    def test_none_beyond_the_model(self, tmp_path):
        path = plane_dem(tmp_path / "dem.tif", Affine(10, 0, LEFT, 0, -10, TOP), "EPSG:32645", (30, 30))
        with open_raster(path) as dataset:
            assert elevation_around(dataset, (LEFT + 5000, TOP - 100, LEFT + 5100, TOP), UTM) is None
            assert elevation_around(dataset, (LEFT + 5000, TOP - 100, LEFT + 5100, TOP), UTM, resolution=50) is None

    def test_a_part_of_a_grid(self):
        whole = grid(np.arange(100.0).reshape(10, 10))
        part = whole.around((LEFT + 32, TOP - 48, LEFT + 41, TOP - 42), cells=1)
        assert part.values.tolist() == whole.values[3:6, 2:6].tolist()
        assert (part.transform.c, part.transform.f) == (LEFT + 20, TOP - 30)
        assert whole.around((LEFT - 90, TOP - 10, LEFT - 80, TOP)).values.size == 0
