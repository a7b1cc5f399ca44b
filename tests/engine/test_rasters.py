"""Grids, opening and reading: where pixels are, how large, and which of them were observed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Geod
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from engine import rasters
from engine.errors import EngineError
from engine.rasters import Grid, ground_pixel_size, is_measured_in_metres, local_utm, new_geotiff, on_grid, open_raster, working_grid
from tests.engine.scenes import PIXEL_10M, UTM45N, write_raster

FEET = 'PROJCS["NAD83 / Colorado Central (ftUS)",' + CRS.from_epsg(2232).to_wkt().split(",", 1)[1]


def grid(crs: str = UTM45N, transform: Affine = PIXEL_10M, width: int = 100, height: int = 80) -> Grid:
    return Grid(CRS.from_user_input(crs), transform, width, height)


def degrees(lon: float, lat: float, step: float = 1e-4) -> Grid:
    return grid("EPSG:4326", Affine(step, 0, lon, 0, -step, lat))


ROTATED = PIXEL_10M @ Affine.rotation(30)
WEB_MERCATOR_AT_46_N = Affine(10, 0, 1_200_000, 0, -10, 5_780_000)


class TestWorkingGrid:
    def test_north_up_metres_stay_as_they_are(self) -> None:
        assert working_grid(grid()) == (grid(), "")

    def test_its_own_resolution_changes_nothing(self) -> None:
        assert working_grid(grid(), 10.0) == (grid(), "")

    def test_another_resolution_keeps_the_corner_and_covers_the_ground(self) -> None:
        working, reason = working_grid(grid(), 4.0)
        assert (working.transform.c, working.transform.f) == (600000, 3080000)
        assert (working.width, working.height, working.resolution) == (250, 200, 4.0)
        assert "10 m to 4 m" in reason

    def test_a_last_pixel_that_is_only_partly_on_the_scene_is_kept(self) -> None:
        working, _ = working_grid(grid(), 30.0)
        assert (working.width, working.height) == (34, 27)

    @pytest.mark.parametrize(
        ("name", "own"),
        [
            ("degrees", degrees(11.0, 46.5)),
            ("feet", grid("EPSG:2232", Affine(32.8, 0, 3_000_000, 0, -32.8, 1_700_000))),
            ("Web Mercator", grid("EPSG:3857", WEB_MERCATOR_AT_46_N)),
            ("UTM far outside its zone", grid("EPSG:32632", Affine(10, 0, 2_000_000, 0, -10, 5_000_000))),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_is_not_in_metres_goes_to_local_utm_and_says_so(self, name: str, own: Grid) -> None:
        working, reason = working_grid(own)
        assert working.crs == local_utm(own)
        assert working.is_north_up_square
        assert is_measured_in_metres(working)
        assert working.resolution == pytest.approx(min(ground_pixel_size(own)))
        assert "not measured in metres" in reason
        assert rasters.crs_name(working.crs) in reason

    @pytest.mark.parametrize(
        ("name", "transform"),
        [
            ("rotated", ROTATED),
            ("higher than wide", Affine(10, 0, 600000, 0, -20, 3080000)),
            ("south up", Affine(10, 0, 600000, 0, 10, 3080000)),
            ("mirrored", Affine(-10, 0, 600000, 0, -10, 3080000)),
            ("sheared", Affine(10, 2, 600000, 0, -10, 3080000)),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_odd_pixels_become_square_and_north_up_in_the_same_crs(self, name: str, transform: Affine) -> None:
        own = grid(transform=transform)
        working, reason = working_grid(own)
        assert working.crs == own.crs
        assert working.is_north_up_square
        assert working.resolution == pytest.approx(10.0)
        assert "rotated, flipped or not square" in reason
        left, bottom, right, top = own.bounds
        covered = working.bounds
        assert covered[0] == pytest.approx(left)
        assert covered[3] == pytest.approx(top)
        assert 0 <= covered[2] - right + 1e-6 < 10.001
        assert 0 <= bottom - covered[1] + 1e-6 < 10.001

    def test_a_scene_of_less_than_a_pixel_becomes_one_pixel(self) -> None:
        working, _ = working_grid(grid(width=2, height=2), 100.0)
        assert (working.width, working.height) == (1, 1)

    def test_a_whole_hemisphere_is_refused(self) -> None:
        with pytest.raises(EngineError) as raised:
            working_grid(grid("EPSG:4326", Affine(1, 0, -90, 0, -1, 80), 180, 80))
        assert raised.value.code == "extent_too_large"


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"),
    [(87.5, 27.9, 32645), (-70.1, -30.2, 32719), (179.99, 10.0, 32660), (-180.0, 10.0, 32601), (0.0, 85.0, 5041), (0.0, -81.0, 5042)],
)
def test_the_local_utm_zone(lon: float, lat: float, epsg: int) -> None:
    assert local_utm(degrees(lon, lat)).to_epsg() == epsg


def test_pixels_are_measured_along_the_ellipsoid() -> None:
    width, height = ground_pixel_size(degrees(11.0, 46.5))
    middle_lon, middle_lat = 11.0 + 50e-4, 46.5 - 40e-4
    geod = Geod(ellps="WGS84")
    assert width == pytest.approx(geod.inv(middle_lon, middle_lat, middle_lon + 1e-4, middle_lat)[2], rel=1e-6)
    assert height == pytest.approx(geod.inv(middle_lon, middle_lat, middle_lon, middle_lat + 1e-4)[2], rel=1e-4)


def test_a_place_off_the_map_is_told() -> None:
    with pytest.raises(EngineError, match="CRS") as raised:
        working_grid(degrees(11.0, 1000.0))
    assert raised.value.code == "crs_place"


def test_a_crs_of_nowhere_is_told() -> None:
    with pytest.raises(EngineError, match="Assign another") as raised:
        working_grid(grid('LOCAL_CS["site grid",UNIT["metre",1]]'))
    assert raised.value.code == "crs_unknown"


class TestOpening:
    def code(self, path: str | Path) -> str:
        with pytest.raises(EngineError) as raised, open_raster(path):
            pass
        assert str(path) in raised.value.text
        return raised.value.code

    def test_no_file(self, tmp_path: Path) -> None:
        assert self.code(tmp_path / "none.tif") == "file_missing"

    def test_no_raster(self, tmp_path: Path) -> None:
        (tmp_path / "notes.tif").write_text("elevation in feet")
        assert self.code(tmp_path / "notes.tif") == "not_a_raster"

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty.tif").touch()
        assert self.code(tmp_path / "empty.tif") == "not_a_raster"

    def test_no_crs(self, tmp_path: Path) -> None:
        assert self.code(write_raster(tmp_path / "a.tif", np.ones((1, 4, 4), np.float32), crs=None)) == "no_crs"

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_no_georeference(self, tmp_path: Path) -> None:
        assert self.code(write_raster(tmp_path / "a.tif", np.ones((1, 4, 4), np.float32), transform=Affine.identity())) == "no_georeference"

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_a_raw_scene_with_ground_control_points_is_to_be_orthorectified(self, tmp_path: Path) -> None:
        path = tmp_path / "raw.tif"
        points = [GroundControlPoint(row, column, 87 + column * 1e-4, 28 - row * 1e-4) for row in (0, 4) for column in (0, 4)]
        with rasterio.open(path, "w", driver="GTiff", width=4, height=4, count=1, dtype="uint8", gcps=points, crs="EPSG:4326") as raw:
            raw.write(np.ones((1, 4, 4), np.uint8))
        with pytest.raises(EngineError, match="Orthorectify") as raised, open_raster(path):
            pass
        assert raised.value.code == "no_georeference"


def test_a_truncated_raster_is_told(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 10000, (4, 300, 300)).astype(np.uint16)
    path = Path(write_raster(tmp_path / "cut.tif", pixels))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(EngineError, match="cut.tif") as raised, open_raster(path) as cut:
        for window in rasters.windows(Grid.of(cut)):
            rasters.read_observed(cut, [1, 2, 3, 4], window)
    assert raised.value.code == "truncated_file"


class TestObserved:
    """Which pixels of [[1, 2], [3, 4]] are there, by whatever means a raster says so."""

    PIXELS = np.array([[[1, 2], [3, 4]]], np.float32)

    @staticmethod
    def read(path: str, bands: tuple[int, ...] = (1,)) -> list[list[bool]]:
        with open_raster(path) as raster:
            return np.isfinite(rasters.read_observed(raster, list(bands)))[0].tolist()

    def test_without_any_mask(self, tmp_path: Path) -> None:
        assert self.read(write_raster(tmp_path / "a.tif", self.PIXELS)) == [[True, True], [True, True]]

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
    def test_nodata_of_every_type(self, tmp_path: Path, dtype: str) -> None:
        assert self.read(write_raster(tmp_path / "a.tif", self.PIXELS.astype(dtype), nodata=2)) == [[True, False], [True, True]]

    def test_nodata_that_the_type_cannot_hold_exactly(self, tmp_path: Path) -> None:
        pixels = self.PIXELS.copy()
        pixels[0, 0, 1] = -3.4028234663852886e38
        assert self.read(write_raster(tmp_path / "a.tif", pixels, nodata=-3.4028234663852886e38)) == [[True, False], [True, True]]

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_nan_and_infinities_beside_a_declared_nodata(self, tmp_path: Path, value: float) -> None:
        pixels = self.PIXELS.copy()
        pixels[0, 1, 1] = value
        assert self.read(write_raster(tmp_path / "a.tif", pixels, nodata=2)) == [[True, False], [True, False]]

    def test_a_mask(self, tmp_path: Path) -> None:
        mask = np.array([[True, True], [False, True]])
        assert self.read(write_raster(tmp_path / "a.tif", self.PIXELS, mask=mask)) == [[True, True], [False, True]]

    def test_an_alpha_band(self, tmp_path: Path) -> None:
        pixels = np.concatenate([self.PIXELS, np.array([[[255, 0], [255, 1]]], np.float32)]).astype(np.uint8)
        path = write_raster(tmp_path / "a.tif", pixels, colours=(ColorInterp.gray, ColorInterp.alpha))
        assert self.read(path) == [[True, False], [True, True]]

    def test_a_near_infrared_band_that_the_file_calls_alpha_masks_nothing(self, tmp_path: Path) -> None:
        pixels = np.concatenate([self.PIXELS, np.array([[[255, 0], [255, 1]]], np.float32)]).astype(np.uint8)
        path = write_raster(tmp_path / "a.tif", pixels, colours=(ColorInterp.gray, ColorInterp.alpha))
        assert self.read(path, (1, 2)) == [[True, True], [True, True]]


class TestOnGrid:
    @staticmethod
    def resampled(path: str, resolution: float) -> np.ndarray:
        with open_raster(path) as raster:
            target, _ = working_grid(Grid.of(raster), resolution)
            with on_grid(raster, target) as warped:
                return rasters.read_observed(warped, list(raster.indexes))

    def test_coarser_pixels_are_means_of_what_was_observed(self, tmp_path: Path) -> None:
        pixels = np.array([[[1, 2, 10, 20], [3, np.nan, 30, 40]]], np.float32)
        means = self.resampled(write_raster(tmp_path / "a.tif", pixels, nodata=np.nan), 20.0)
        np.testing.assert_allclose(means, [[[2.0, 25.0]]])

    def test_a_band_without_value_does_not_empty_the_others(self, tmp_path: Path) -> None:
        pixels = np.full((2, 2, 2), 4.0, np.float32)
        pixels[0, 0, 0] = np.nan
        np.testing.assert_allclose(self.resampled(write_raster(tmp_path / "a.tif", pixels, nodata=np.nan), 20.0), [[[4.0]], [[4.0]]])

    def test_finer_pixels_interpolate_a_plane_exactly_inside(self, tmp_path: Path) -> None:
        columns, rows = np.meshgrid(np.arange(20) + 0.5, np.arange(16) + 0.5)
        finer = self.resampled(write_raster(tmp_path / "a.tif", (3 * columns + 2 * rows)[None].astype(np.float32)), 5.0)
        fine_columns, fine_rows = np.meshgrid((np.arange(40) + 0.5) / 2, (np.arange(32) + 0.5) / 2)
        np.testing.assert_allclose(finer[0, 1:-1, 1:-1], (3 * fine_columns + 2 * fine_rows)[1:-1, 1:-1], atol=1e-3)

    def test_rotated_pixels_land_where_they_are(self, tmp_path: Path) -> None:
        pixels = np.zeros((1, 80, 100), np.float32)
        pixels[0, 38:43, 58:63] = 1.0
        path = write_raster(tmp_path / "a.tif", pixels, transform=ROTATED)
        with open_raster(path) as raster:
            target, _ = working_grid(Grid.of(raster))
            with on_grid(raster, target) as warped:
                seen = rasters.read_observed(warped, [1])[0]
        rows, columns = np.nonzero(seen > 0.5)
        middle = target.transform @ (columns.mean() + 0.5, rows.mean() + 0.5)
        assert math.dist(middle, ROTATED @ (60.5, 40.5)) < 2.0
        assert np.isnan(seen[0, 0])
        assert np.isfinite(seen).sum() == pytest.approx(8000, rel=0.02)

    def test_the_same_grid_is_read_as_it_is(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).random((2, 5, 7), np.float32)
        np.testing.assert_array_equal(self.resampled(write_raster(tmp_path / "a.tif", pixels), 10.0), pixels)


def test_windows_cover_every_pixel_once() -> None:
    seen = np.zeros((1100, 4500), int)
    for window in rasters.windows(grid(width=4500, height=1100)):
        seen[window.toslices()] += 1
    assert (seen == 1).all()


def test_a_new_geotiff_holds_what_was_written(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((2, 80, 100), np.float32)
    with new_geotiff(tmp_path / "new.tif", grid(), ("probability", "coverage")) as dataset:
        dataset.write(pixels[:, :40], window=Window(0, 0, 100, 40))
        dataset.write(pixels[:, 40:], window=Window(0, 40, 100, 40))
    with rasterio.open(tmp_path / "new.tif") as written:
        np.testing.assert_array_equal(written.read(), pixels)
        assert Grid.of(written) == grid()
        assert written.descriptions == ("probability", "coverage")
        assert math.isnan(written.nodata)


def test_a_geotiff_with_a_missing_block_does_not_take_its_name(tmp_path: Path) -> None:
    with pytest.raises(EngineError), new_geotiff(tmp_path / "new.tif", grid(width=600, height=600), ("probability",)) as dataset:
        dataset.write(np.random.default_rng(0).random((1, 600, 600), np.float32))
        place = Path(dataset.name)
        dataset.close()
        place.write_bytes(place.read_bytes()[:-100_000])
    assert list(tmp_path.iterdir()) == []
