"""Scene to spectral stack: the good scenes, and each of the bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from engine import indices, rasters
from engine.errors import Cancelled, EngineError
from engine.prepare import prepare, spectral_stack
from engine.rasters import Grid
from engine.reporting import SilentReporter
from jobs import STACK_BANDS, PrepareJob
from tests.engine.scenes import PIXEL_10M, mountains, read_stack, write_raster

Result = dict[str, Any]


def prepared(
    tmp_path: Path, pixels: NDArray[Any], *, raster: Result | None = None, **parameters: Any
) -> tuple[NDArray[np.float32], Result, SilentReporter]:
    """The stack of a scene of these pixels, the result, and what was reported."""
    scene = write_raster(tmp_path / "scene.tif", pixels, **(raster or {}))
    reporter = SilentReporter()
    result = prepare(PrepareJob(scene, str(tmp_path / "stack.tif"), **parameters), reporter)
    return read_stack(result["output"]), result, reporter


def refused(tmp_path: Path, pixels: NDArray[Any], *, raster: Result | None = None, **parameters: Any) -> EngineError:
    """The error of a scene that is refused, with nothing left beside the scene."""
    scene = write_raster(tmp_path / "scene.tif", pixels, **(raster or {}))
    with pytest.raises(EngineError) as raised:
        prepare(PrepareJob(scene, str(tmp_path / "stack.tif"), **parameters), SilentReporter())
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]
    return raised.value


def sentinel2(**further: Any) -> NDArray[np.uint16]:
    return (mountains(**further) * 1e4).round().astype(np.uint16)


class TestGoodScenes:
    def test_the_bands_of_the_stack(self, tmp_path: Path) -> None:
        stack, _, _ = prepared(tmp_path, sentinel2())
        red, green, blue, nir = np.round(mountains() * 1e4).astype(np.float32) / 1e4
        np.testing.assert_allclose(stack[:4], [red, green, blue, nir], atol=1e-6)
        np.testing.assert_allclose(stack[4], indices.evi(red, blue, nir), atol=1e-4)
        np.testing.assert_allclose(stack[5], indices.savi(red, nir), atol=1e-5)

    def test_the_file(self, tmp_path: Path) -> None:
        _, result, _ = prepared(tmp_path, sentinel2())
        with rasterio.open(result["output"]) as stack, rasterio.open(tmp_path / "scene.tif") as scene:
            assert Grid.of(stack) == Grid.of(scene)
            assert stack.descriptions == STACK_BANDS
            assert set(stack.dtypes) == {"float32"}
            assert np.isnan(stack.nodata)
            assert stack.colorinterp[:3] == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
            assert stack.profile["compress"] == "deflate"

    def test_the_passport(self, tmp_path: Path) -> None:
        _, result, _ = prepared(tmp_path, sentinel2(), sensor="sentinel2_l2a", resolution=20.0)
        with rasterio.open(result["output"]) as stack:
            passport = stack.tags(ns="ROCK_GLACIER_MAPPER")
        assert set(passport) == {"SENSOR", "SCALE", "OFFSET", "CHAIN", "SOFTWARE", "SOURCE", "CREATED"}
        assert (passport["SENSOR"], float(passport["SCALE"]), float(passport["OFFSET"])) == ("sentinel2_l2a", 1e-4, 0.0)
        assert passport["SOURCE"] == "scene.tif"
        assert "10 m to 20 m" in passport["CHAIN"]

    def test_the_result(self, tmp_path: Path) -> None:
        pixels = sentinel2()
        pixels[:, :15] = 0
        _, result, _ = prepared(tmp_path, pixels)
        assert result["observed_fraction"] == pytest.approx(0.75)
        assert (result["crs"], result["resolution_m"]) == ("EPSG:32645", 10.0)
        assert (result["scale"], result["offset"]) == (1e-4, 0.0)

    def test_bands_in_another_order(self, tmp_path: Path) -> None:
        stack, _, _ = prepared(tmp_path, sentinel2()[[2, 1, 0, 3]], red=3, green=2, blue=1)
        np.testing.assert_allclose(stack[:4], mountains(), atol=1e-4)

    def test_a_true_colour_scene_has_no_indices(self, tmp_path: Path) -> None:
        stack, result, _ = prepared(tmp_path, sentinel2()[:3], nir=0)
        np.testing.assert_allclose(stack[:3], mountains()[:3], atol=1e-4)
        assert np.isnan(stack[3:]).all()
        assert result["observed_fraction"] == 1.0

    def test_a_custom_scale(self, tmp_path: Path) -> None:
        stack, _, _ = prepared(tmp_path, (mountains() * 200 + 10).astype(np.float32), sensor="custom", scale=0.005, offset=-0.05)
        np.testing.assert_allclose(stack[:4], mountains(), atol=1e-5)

    def test_a_stack_can_be_prepared_again(self, tmp_path: Path) -> None:
        first, result, _ = prepared(tmp_path, sentinel2())
        again = prepare(PrepareJob(result["output"], str(tmp_path / "again.tif")), SilentReporter())
        np.testing.assert_allclose(read_stack(again["output"]), first, atol=1e-6)

    def test_a_single_pixel(self, tmp_path: Path) -> None:
        stack, _, _ = prepared(tmp_path, sentinel2()[:, :1, :1])
        assert stack.shape == (6, 1, 1)

    def test_a_scene_in_several_pieces_is_the_same(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole, _, _ = prepared(tmp_path, sentinel2())
        pieces = rasters.windows
        monkeypatch.setattr(rasters, "windows", lambda grid: pieces(grid, 7, 11))
        np.testing.assert_array_equal(prepared(tmp_path, sentinel2())[0], whole)

    def test_what_was_decided_is_said(self, tmp_path: Path) -> None:
        _, _, reporter = prepared(tmp_path, sentinel2())
        assert "value x 0.0001" in reporter.infos[0]
        assert [code for code, _ in reporter.warnings] == ["sensor_assumed"]


class TestNotObserved:
    """The upper half of the scene is not observed, said in each of the ways that files know."""

    @staticmethod
    def check(stack: NDArray[np.float32]) -> None:
        assert np.isnan(stack[:, :30]).all()
        assert np.isfinite(stack[:, 30:]).all()

    def half(self, value: float, dtype: str = "uint16") -> NDArray[Any]:
        pixels = sentinel2().astype(dtype)
        pixels[:, :30] = value
        return pixels

    def test_a_declared_nodata(self, tmp_path: Path) -> None:
        self.check(prepared(tmp_path, self.half(65535), raster={"nodata": 65535})[0])

    def test_an_undeclared_collar_of_zeros(self, tmp_path: Path) -> None:
        self.check(prepared(tmp_path, self.half(0))[0])

    def test_an_undeclared_fill_value(self, tmp_path: Path) -> None:
        stack, _, reporter = prepared(tmp_path, self.half(-9999, "int16"))
        self.check(stack)
        assert "nodata_assumed" in [code for code, _ in reporter.warnings]

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_nan_and_infinities(self, tmp_path: Path, value: float) -> None:
        self.check(prepared(tmp_path, self.half(value, "float32"))[0])

    def test_a_mask(self, tmp_path: Path) -> None:
        mask = np.ones((60, 80), bool)
        mask[:30] = False
        self.check(prepared(tmp_path, sentinel2(), raster={"mask": mask})[0])

    def test_an_alpha_band(self, tmp_path: Path) -> None:
        alpha = np.full((1, 60, 80), 65535, np.uint16)
        alpha[:, :30] = 0
        colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined, ColorInterp.alpha)
        self.check(prepared(tmp_path, np.concatenate([sentinel2(), alpha]), raster={"colours": colours})[0])

    def test_a_collar_does_not_smear_into_values_when_resampled(self, tmp_path: Path) -> None:
        pixels = np.full((4, 60, 80), 3000, np.uint16)
        pixels[:, ::2] = (1000 * np.arange(1, 5))[:, None, None]
        pixels[:, :30] = 0
        pixels[:, 30:] = 2500
        stack, result, _ = prepared(tmp_path, pixels, resolution=7.0, sensor="planetscope_sr")
        observed = np.isfinite(stack[0])
        np.testing.assert_allclose(stack[:4, observed], 0.25, atol=1e-6)
        assert result["observed_fraction"] == pytest.approx(0.5, abs=0.02)

    def test_one_missing_band_leaves_the_others(self, tmp_path: Path) -> None:
        pixels = mountains()
        pixels[3, :30] = np.nan
        stack, _, _ = prepared(tmp_path, pixels)
        assert np.isfinite(stack[:3]).all()
        assert np.isnan(stack[3:, :30]).all()

    @pytest.mark.parametrize("value", [0, 7], ids=["undeclared", "declared"])
    def test_all_of_it_makes_an_empty_stack_and_a_warning(self, tmp_path: Path, value: int) -> None:
        stack, result, reporter = prepared(tmp_path, np.full((4, 60, 80), value, np.uint16), raster={"nodata": value} if value else {})
        assert np.isnan(stack).all()
        assert result["observed_fraction"] == 0.0
        assert [code for code, _ in reporter.warnings] == ["nothing_observed"]

    def test_a_small_observed_corner_is_found(self, tmp_path: Path) -> None:
        pixels = np.zeros((4, 900, 700), np.uint16)
        pixels[:, 100:103, 100:103] = sentinel2()[:, :3, :3]
        _, result, _ = prepared(tmp_path, pixels)
        assert result["scale"] == 1e-4
        assert result["observed_fraction"] == pytest.approx(9 / (900 * 700))


class TestGrids:
    def test_degrees_are_worked_in_utm(self, tmp_path: Path) -> None:
        raster = {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 88.2, 0, -1e-4, 27.9)}
        stack, result, reporter = prepared(tmp_path, sentinel2(), raster=raster)
        assert result["crs"] == "EPSG:32645"
        assert result["resolution_m"] == pytest.approx(1e-4 * 111320 * np.cos(np.radians(27.9)), rel=0.01)
        assert any("EPSG:4326 is not measured in metres: working in EPSG:32645" in info for info in reporter.infos)
        assert np.isfinite(stack[0]).mean() > 0.95

    def test_rotated_pixels_are_turned_north(self, tmp_path: Path) -> None:
        pixels = np.full((4, 60, 80), 0.2, np.float32)
        stack, result, reporter = prepared(tmp_path, pixels, raster={"transform": PIXEL_10M @ Affine.rotation(30)})
        with rasterio.open(result["output"]) as written:
            assert Grid.of(written).is_north_up_square
        assert any("rotated" in info for info in reporter.infos)
        np.testing.assert_allclose(stack[:4][np.isfinite(stack[:4])], 0.2, atol=1e-6)
        assert np.isfinite(stack[0]).sum() == pytest.approx(60 * 80, rel=0.03)

    def test_pixels_that_are_not_square_become_square(self, tmp_path: Path) -> None:
        _, result, _ = prepared(tmp_path, sentinel2(), raster={"transform": Affine(10, 0, 600000, 0, -20, 3080000)})
        with rasterio.open(result["output"]) as written:
            assert (written.width, written.height, written.res) == (80, 120, (10.0, 10.0))

    def test_indices_come_from_resampled_reflectance(self, tmp_path: Path) -> None:
        stack, result, _ = prepared(tmp_path, mountains(), resolution=20.0)
        means = mountains().reshape(4, 30, 2, 40, 2).mean(axis=(2, 4))
        np.testing.assert_allclose(stack, spectral_stack(means), atol=1e-4)
        assert result["resolution_m"] == 20.0


class TestBadScenes:
    def test_fewer_bands_than_named(self, tmp_path: Path) -> None:
        error = refused(tmp_path, sentinel2()[:3], raster={"names": ("red", "green", "blue")})
        assert error.code == "band_missing"
        assert "3 bands (1 red, 2 green, 3 blue)" in error.text
        assert "NIR 0" in error.text

    def test_no_crs(self, tmp_path: Path) -> None:
        assert refused(tmp_path, sentinel2(), raster={"crs": None}).code == "no_crs"

    def test_reflectance_outside_0_to_1_names_the_sensor_that_fits(self, tmp_path: Path) -> None:
        error = refused(tmp_path, sentinel2(), sensor="reflectance")
        assert error.code == "not_reflectance"
        assert "sentinel2_l2a" in error.text

    def test_a_resolution_that_would_fill_the_disk(self, tmp_path: Path) -> None:
        assert refused(tmp_path, sentinel2(), resolution=0.01).code == "parameter"

    def test_complex_numbers(self, tmp_path: Path) -> None:
        assert refused(tmp_path, mountains().astype(np.complex64)).code == "not_reflectance"

    def test_a_truncated_file(self, tmp_path: Path) -> None:
        path = Path(write_raster(tmp_path / "scene.tif", sentinel2(rows=400, columns=400)))
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        with pytest.raises(EngineError) as raised:
            prepare(PrepareJob(str(path), str(tmp_path / "stack.tif")), SilentReporter())
        assert raised.value.code == "truncated_file"
        assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]

    def test_a_file_truncated_where_the_sample_does_not_look(self, tmp_path: Path) -> None:
        path = Path(write_raster(tmp_path / "scene.tif", sentinel2(rows=600, columns=600), interleave="pixel"))
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(EngineError) as raised:
            prepare(PrepareJob(str(path), str(tmp_path / "stack.tif")), SilentReporter())
        assert raised.value.code in ("truncated_file", "not_a_raster")
        assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]

    def test_a_missing_output_folder(self, tmp_path: Path) -> None:
        scene = write_raster(tmp_path / "scene.tif", sentinel2())
        with pytest.raises(EngineError) as raised:
            prepare(PrepareJob(scene, str(tmp_path / "none" / "stack.tif")), SilentReporter())
        assert raised.value.code == "output_folder"

    def test_bands_whose_names_contradict_their_numbers_are_pointed_out(self, tmp_path: Path) -> None:
        _, _, reporter = prepared(tmp_path, sentinel2(), raster={"names": ("blue", "green", "red", "nir")})
        assert [code for code, _ in reporter.warnings].count("band_order") == 2

    @pytest.mark.parametrize("names", [("B04", "B03", "B02", "B08"), ("Red", "Green", "Blue", "NIR"), ("red (S2 B4)", "", "", "Near-IR")])
    def test_bands_whose_names_fit_are_not(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        _, _, reporter = prepared(tmp_path, sentinel2(), raster={"names": names})
        assert "band_order" not in [code for code, _ in reporter.warnings]


class TestWholeOrNothing:
    @pytest.mark.parametrize("resolution", [0.0, 5.0], ids=["as is", "resampled"])
    @pytest.mark.parametrize("progress_calls", [0, 1, 2])
    def test_cancelling_leaves_an_existing_output_as_it_was(self, tmp_path: Path, resolution: float, progress_calls: int) -> None:
        scene = write_raster(tmp_path / "scene.tif", sentinel2())
        output = tmp_path / "stack.tif"
        output.write_text("yesterday's stack")
        with pytest.raises(Cancelled):
            prepare(PrepareJob(scene, str(output), resolution=resolution), SilentReporter(cancel_after=progress_calls))
        assert output.read_text() == "yesterday's stack"
        assert len(list(tmp_path.iterdir())) == 2

    def test_a_new_stack_replaces_an_existing_output(self, tmp_path: Path) -> None:
        (tmp_path / "stack.tif").write_text("yesterday's stack")
        prepared(tmp_path, sentinel2())
        assert len(list(tmp_path.iterdir())) == 2


class TestRealScenes:
    def test_sikkim(self, data: Path, tmp_path: Path) -> None:
        reporter = SilentReporter()
        result = prepare(PrepareJob(str(data / "sikkim" / "sikkim_s2_rgbn_10m.tif"), str(tmp_path / "stack.tif")), reporter)
        assert (result["sensor"], result["scale"], result["offset"]) == ("sentinel2_l2a", 1e-4, 0.0)
        stack = read_stack(result["output"])
        assert stack.shape == (6, 500, 500)
        assert 0.1 < np.median(stack[0]) < 0.3
        assert np.isfinite(stack[4]).mean() > 0.99

    def test_bolzano(self, data: Path, tmp_path: Path) -> None:
        result = prepare(PrepareJob(str(data / "bolzano_l2a" / "S2_L2A_sample.tif"), str(tmp_path / "stack.tif")), SilentReporter())
        assert (result["sensor"], result["offset"]) == ("sentinel2_l2a", 0.0)
        red, _, _, nir = np.nanmedian(read_stack(result["output"])[:4], axis=(1, 2))
        assert nir > 5 * red, "the scene is forest"
