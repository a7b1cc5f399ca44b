"""Statistics over outlines, against shapely cell by cell and against answers known by construction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

from engine.reporting import SilentReporter
from engine.zonal import by_place, circular_mean, extremes, shares_of_cells, weighted_mean, weighted_median, zonal_means

UTM = CRS.from_epsg(32645)
LEFT, TOP = 600_000.0, 3_100_000.0
TEN_METRES = Affine(10, 0, LEFT, 0, -10, TOP)


def write_raster(path: Path, values: Any, transform: Affine, crs: str = "EPSG:32645", **profile: Any) -> Path:
    values = np.asarray(values)
    size = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **size, **profile) as dataset:
        dataset.write(values, 1)
    return path


def by_brute_force(outline: shapely.Geometry, transform: Affine, shape: tuple[int, int]) -> np.ndarray:
    """Share of each cell by cutting every cell out of the outline."""
    share = np.zeros(shape)
    for row, column in np.ndindex(shape):
        corners = [transform @ corner for corner in ((column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1))]
        cell = shapely.Polygon(corners)
        share[row, column] = shapely.intersection(cell, outline).area / cell.area
    return share


def on_grid(outline: shapely.Geometry, transform: Affine, shape: tuple[int, int]) -> np.ndarray:
    shares = shares_of_cells(outline, transform, shape)
    share = np.zeros(shape)
    share[shares.rows, shares.columns] = shares.share
    return share


def at(wkt: str) -> shapely.Geometry:
    """An outline drawn in metres east and north of 100 m south of the upper left corner."""
    return shapely.affinity.translate(shapely.from_wkt(wkt), LEFT, TOP - 100)


class TestShares:
    @pytest.mark.parametrize(
        "wkt",
        [
            "POLYGON((20 20,60 20,60 70,20 70,20 20))",
            "POLYGON((23 21,67 24,61 79,35 74,23 21))",
            "POLYGON((23 21,35 74,61 79,67 24,23 21))",
            "POLYGON((31 32,34 32,34 37,31 37,31 32))",
            "POLYGON((38 38,43 37,44 44,36 43,38 38))",
            "POLYGON((10 10,90 10,90 90,10 90,10 10),(32 28,32 61,58 55,32 28))",
            "MULTIPOLYGON(((5 5,25 5,25 25,5 5)),((25 5,45 5,45 26,25 5)),((71 70,88 72,83 91,71 70)))",
            "POLYGON((0 0,100 0,100 100,0 100,0 0))",
        ],
        ids=["on cell edges", "clockwise", "counter-clockwise", "in a cell", "on four cells", "a hole", "parts in one cell", "whole grid"],
    )
    @pytest.mark.parametrize("transform", [TEN_METRES, Affine(8, 3, LEFT - 10, 2, -9, TOP)], ids=["north-up", "rotated"])
    def test_as_cut_cell_by_cell(self, wkt, transform):
        outline = at(wkt)
        shape = (13, 15)
        assert on_grid(outline, transform, shape) == pytest.approx(by_brute_force(outline, transform, shape), abs=1e-6)

    def test_random_outlines(self):
        random = np.random.default_rng(1)
        for _ in range(30):
            angle = np.sort(random.uniform(0, 2 * np.pi, 40))
            distance = random.uniform(5, 45, 40)
            places = np.column_stack([LEFT + 50 + distance * np.cos(angle), TOP - 50 + distance * np.sin(angle)])
            outline = shapely.make_valid(shapely.Polygon(places))
            assert on_grid(outline, TEN_METRES, (10, 10)) == pytest.approx(by_brute_force(outline, TEN_METRES, (10, 10)), abs=1e-6)

    def test_what_lies_beyond_the_grid_is_unknown(self):
        shares = shares_of_cells(at("POLYGON((-20 0,20 0,20 10,-20 10,-20 0))"), TEN_METRES, (10, 10))
        assert shares.share.tolist() == [1, 1] and shares.beyond == pytest.approx(2)
        assert shares.known_share(np.array([5.0, np.nan])) == pytest.approx(0.25)
        assert shares_of_cells(at("POLYGON((-20 0,-10 0,-10 10,-20 0))"), TEN_METRES, (10, 10)).known_share(np.empty(0)) == 0

    def test_an_empty_outline_has_no_cells(self):
        assert shares_of_cells(shapely.Polygon(), TEN_METRES, (10, 10)).known_share(np.empty(0)) == 0


class TestStatistics:
    def test_mean_by_shares(self):
        assert weighted_mean(np.array([1.0, 5.0, np.nan]), np.array([0.75, 0.25, 1.0])) == pytest.approx(2)
        assert np.isnan(weighted_mean(np.array([np.nan]), np.array([1.0]))) and np.isnan(weighted_mean(np.empty(0), np.empty(0)))

    @pytest.mark.parametrize(
        ("values", "share", "median"),
        [
            ([3, 1, 2], [1, 1, 1], 2),
            ([4, 1, 2, 3], [1, 1, 1, 1], 2.5),
            ([1, 2, 3], [0.1, 0.1, 1], 3),
            ([1, 2, 3], [1, 0.5, 0.5], 1.5),
            ([7, np.nan], [0.01, 1], 7),
            ([np.nan], [1], np.nan),
        ],
    )
    def test_median_by_shares(self, values, share, median):
        assert weighted_median(np.array(values, dtype=float), np.array(share, dtype=float)) == pytest.approx(median, nan_ok=True)

    def test_slivers_of_cells_are_not_extremes(self):
        assert extremes(np.array([1.0, 5, 6, 9]), np.array([0.1, 1, 0.5, 0.49])) == (5, 6)
        assert extremes(np.array([1.0, 5.0]), np.array([0.1, 0.2])) == (1, 5)
        assert np.isnan(extremes(np.array([np.nan]), np.array([1.0]))).all()

    @pytest.mark.parametrize(
        ("degrees", "share", "mean", "resultant"),
        [
            ([350, 10], [1, 1], 0, np.cos(np.radians(10))),
            ([0, 90], [1, 1], 45, np.sqrt(0.5)),
            ([0, 90, np.nan], [1, 0, 5], 0, 1),
            ([0, 180], [1, 1], np.nan, 0),
            ([225, 225], [0.2, 0.7], 225, 1),
            ([np.nan], [1], np.nan, np.nan),
        ],
        ids=["across north", "a right angle", "weights", "cancelled out", "all the same", "unknown"],
    )
    def test_circular_mean(self, degrees, share, mean, resultant):
        direction, length = circular_mean(np.array(degrees, dtype=float), np.array(share, dtype=float))
        assert (direction + 180) % 360 == pytest.approx((mean + 180) % 360, nan_ok=True)
        assert length == pytest.approx(resultant, abs=1e-9, nan_ok=True)


class TestRasters:
    def means(self, path: Path, *outlines: shapely.Geometry, crs: CRS = UTM) -> np.ndarray:
        with rasterio.open(path) as dataset:
            return zonal_means(dataset, np.array(outlines, dtype=object), crs, SilentReporter())

    def test_outlines_smaller_than_a_cell(self, tmp_path):
        kilometres = Affine(1000, 0, LEFT, 0, -1000, TOP)
        path = write_raster(tmp_path / "maat.tif", np.array([[-2.0, -4.0], [-6.0, -9999.0]]), kilometres, nodata=-9999)
        in_one = shapely.box(LEFT + 400, TOP - 500, LEFT + 500, TOP - 400)
        on_two = shapely.box(LEFT + 900, TOP - 600, LEFT + 1300, TOP - 500)
        unknown = shapely.box(LEFT + 1400, TOP - 1500, LEFT + 1500, TOP - 1400)
        half = shapely.box(LEFT + 800, TOP - 1600, LEFT + 1200, TOP - 1500)
        beyond = shapely.box(LEFT + 5000, TOP - 600, LEFT + 5300, TOP - 500)
        assert self.means(path, in_one, on_two, unknown, half, beyond) == pytest.approx([-2, -3.5, np.nan, np.nan, np.nan], nan_ok=True)

    def test_against_fine_resampling(self, tmp_path):
        random = np.random.default_rng(2)
        values = random.normal(size=(30, 30))
        path = write_raster(tmp_path / "values.tif", values, TEN_METRES)
        outline = shapely.Point(LEFT + 140, TOP - 160).buffer(57)
        fine = np.arange(0.25, 300, 0.5)
        x, y = np.meshgrid(LEFT + fine, TOP - fine)
        inside = shapely.contains_xy(outline, x, y)
        expected = np.kron(values, np.ones((20, 20)))[inside].mean()
        assert self.means(path, outline)[0] == pytest.approx(expected, abs=2e-3)

    @pytest.mark.parametrize("first_longitude", [-180.0, 0.0])
    def test_degrees_and_the_antimeridian(self, tmp_path, first_longitude):
        # one cell a degree, its value the longitude east of Greenwich; the outline is half in 179-180 E, half in 180-179 W
        longitudes = (first_longitude + np.arange(360) + 0.5) % 360
        values = np.tile(longitudes, (4, 1))
        path = write_raster(tmp_path / "map.tif", values, Affine(1, 0, first_longitude, 0, -1, 2), "EPSG:4326")
        x, y = 500_000 + 3 * 111_319.5, 10_000.0  # UTM 60: 180 degrees east
        across = shapely.box(x - 1000, y, x + 1000, y + 1000)
        assert self.means(path, across, crs=CRS.from_epsg(32660)) == pytest.approx(180, abs=0.05)

    def test_scale_and_offset_of_the_file(self, tmp_path):
        path = write_raster(tmp_path / "maat.tif", np.full((10, 10), 25, np.int16), TEN_METRES)
        with rasterio.open(path, "r+") as dataset:
            dataset.scales, dataset.offsets = (0.1,), (-5.0,)
        assert self.means(path, at("POLYGON((20 20,60 20,60 70,20 20))")) == pytest.approx([-2.5])

    def test_more_outlines_than_one_window(self, tmp_path, monkeypatch):
        monkeypatch.setattr("engine.zonal.TILE", 8)
        values = np.arange(900.0).reshape(30, 30)
        path = write_raster(tmp_path / "values.tif", values, TEN_METRES)
        cells = [(row, column) for row in (0, 7, 15, 29) for column in (1, 12, 28)]
        outlines = [shapely.box(LEFT + 10 * c, TOP - 10 * r - 10, LEFT + 10 * c + 10, TOP - 10 * r) for r, c in cells]
        whole = shapely.box(LEFT, TOP - 300, LEFT + 300, TOP)
        expected = [values[cell] for cell in cells] + [values.mean()]
        assert self.means(path, *outlines, whole) == pytest.approx(expected)

    def test_no_outlines(self, tmp_path):
        path = write_raster(tmp_path / "values.tif", np.ones((3, 3)), TEN_METRES)
        assert self.means(path).shape == (0,)


def test_squares_serve_everything_once():
    bounds = np.random.default_rng(3).uniform(0, 100, (50, 2)).repeat(2, axis=0).reshape(50, 4)
    groups = list(by_place(bounds, 20))
    assert sorted(np.concatenate(groups)) == list(range(50)) and len(groups) > 5
    assert list(by_place(np.empty((0, 4)), 20)) == []
