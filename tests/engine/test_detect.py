from __future__ import annotations

import errno
import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS, Geod
from rasterio.windows import Window

from engine import detect as detect_module
from engine import tile_polygons
from engine.detect import detect
from engine.errors import Cancelled, EngineError
from engine.reporting import SilentReporter
from engine.tile_polygons import LAYER, trace_tile
from engine.vectors import PolygonLayer, read_polygons, write_polygons
from jobs import STACK_BANDS, DetectJob
from tests.engine import networks
from tests.engine.networks import BACKGROUND, GSD, NORTH_UP, TILE, landscape, write_stack

FIELDS = ["tile", "probability_mean", "probability_max", "area_m2", "coverage"]  # what Post-process and styles rely on


@pytest.fixture
def model(tmp_path):
    return networks.write_model(tmp_path / "model", networks.pointwise())


def job_for(folder: Path, model_folder: Path, **changes) -> DetectJob:
    job = DetectJob(
        input=str(folder / "stack.tif"),
        output=str(folder / "tile_polygons.gpkg"),
        probability=str(folder / "probability.tif"),
        model=str(model_folder),
        device="cpu",
    )
    return replace(job, **changes)


def probability(folder: Path) -> np.ndarray:
    with rasterio.open(folder / "probability.tif") as dataset:
        return dataset.read(1)


def polygons(folder: Path, name: str = "tile_polygons.gpkg") -> PolygonLayer:
    return read_polygons(folder / name, LAYER if name.endswith("gpkg") else None)


def box(row, column, rows, columns, transform=NORTH_UP):
    """The map rectangle of some pixels."""
    corners = ((column, row), (column + columns, row), (column + columns, row + rows), (column, row + rows))
    return shapely.Polygon([transform @ corner for corner in corners])


def failure(job, reporter=None):
    with pytest.raises(EngineError) as caught:
        detect(job, reporter or SilentReporter())
    return caught.value


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# what comes out -----------------------------------------------------------------------------------------------------------


def test_object_in_one_tile_lies_exactly_on_its_pixels(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE, (5, 7, 4, 6)))
    result = detect(job_for(tmp_path, model), SilentReporter())
    layer = polygons(tmp_path)
    assert (result["count"], result["tiles"], result["tiles_skipped"], result["device_used"]) == (1, 1, 0, "CPU")
    assert layer.geometries[0].normalize() == box(5, 7, 4, 6).normalize()
    assert layer.crs == CRS(networks.UTM)
    assert list(layer.fields) == FIELDS
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(polygons(tmp_path).in_crs("EPSG:4326").geometries[0])
    assert {name: values[0] for name, values in layer.fields.items()} == {
        "tile": 1,
        "probability_mean": pytest.approx(1),
        "probability_max": pytest.approx(1),
        "area_m2": pytest.approx(abs(area), rel=1e-6),
        "coverage": 1,
    }
    assert probability(tmp_path) == pytest.approx((landscape(TILE, TILE, (5, 7, 4, 6)) == networks.OBJECT).astype(float))


def test_probability_of_an_object_is_the_mean_and_the_maximum_of_its_pixels(tmp_path, model):
    red = landscape(TILE, TILE)
    red[3, 4:8] = 0.35, 0.375, 0.4, 0.425
    write_stack(tmp_path / "stack.tif", red)
    detect(job_for(tmp_path, model), SilentReporter())
    fields = polygons(tmp_path).fields
    assert fields["probability_mean"] == pytest.approx([0.75])
    assert fields["probability_max"] == pytest.approx([0.9])


def test_every_tile_that_sees_an_object_outlines_it(tmp_path, model):
    """Rows of 48 pixels have tiles at 0 and 16; the object on rows 16-31 lies in both, on columns 0-31 in the first alone."""
    write_stack(tmp_path / "stack.tif", landscape(48, TILE, (20, 4, 6, 8)))
    result = detect(job_for(tmp_path, model), SilentReporter())
    layer = polygons(tmp_path)
    assert result["count"] == 2
    assert layer.fields["tile"].tolist() == [1, 2]
    assert layer.fields["coverage"].tolist() == [2, 2]
    assert all(geometry.normalize() == box(20, 4, 6, 8).normalize() for geometry in layer.geometries)


def test_object_across_tiles_is_cut_at_their_edges_and_coverage_is_its_mean(tmp_path, model):
    """Tiles cover columns 0-31, 16-47 and 32-63. The object on columns 10-37 is cut to 10-31, 16-37 and 32-37."""
    write_stack(tmp_path / "stack.tif", landscape(TILE, 64, (3, 10, 5, 28)))
    detect(job_for(tmp_path, model), SilentReporter())
    layer = polygons(tmp_path)
    expected = [box(3, 10, 5, 22), box(3, 16, 5, 22), box(3, 32, 5, 6)]
    assert [a.normalize() == b.normalize() for a, b in zip(layer.geometries, expected, strict=True)] == [True] * 3
    assert layer.fields["coverage"] == pytest.approx([(6 * 1 + 16 * 2) / 22, 2, 2])


def test_coverage_counts_tiles_below_that_are_read_later(tmp_path, model):
    """Row tiles start at 0, 16 and 32. Rows 30-33 of the second tile: 30, 31 also in the first, 32, 33 also in the third."""
    write_stack(tmp_path / "stack.tif", landscape(64, TILE, (28, 4, 10, 10)))
    detect(job_for(tmp_path, model), SilentReporter())
    assert polygons(tmp_path).fields["coverage"] == pytest.approx([2, 2, 2])


def test_coverage_leaves_out_skipped_tiles(tmp_path, model):
    """The third column of tiles, 32-63, holds no observed pixel, so what only it would have seen twice is seen once."""
    red = landscape(TILE, 64, (3, 20, 5, 12))
    red[:, 32:] = np.nan
    write_stack(tmp_path / "stack.tif", red)
    result = detect(job_for(tmp_path, model, overlap=0.0), SilentReporter())
    assert (result["tiles"], result["tiles_skipped"]) == (2, 1)
    assert polygons(tmp_path).fields["coverage"].tolist() == [1]


def test_pixels_that_touch_at_a_corner_are_two_objects(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE, (5, 5, 2, 2), (7, 7, 2, 2)))
    assert detect(job_for(tmp_path, model), SilentReporter())["count"] == 2


def test_hole_of_an_object_stays(tmp_path, model):
    red = landscape(TILE, TILE, (5, 5, 7, 7))
    red[8, 8] = networks.BACKGROUND
    write_stack(tmp_path / "stack.tif", red)
    detect(job_for(tmp_path, model), SilentReporter())
    (polygon,) = polygons(tmp_path).geometries
    assert polygon.normalize() == box(5, 5, 7, 7).difference(box(8, 8, 1, 1)).normalize()


def test_outlines_of_noise_are_valid_and_hold_every_positive_pixel():
    for seed in range(20):
        values = np.random.default_rng(seed).random((24, 24)).astype(np.float32)
        positive = values > 0.4
        objects = trace_tile(values, positive, 1, 100, 200)
        assert shapely.is_valid(objects.polygons).all()
        assert np.array_equal(objects.pixels, np.flatnonzero(positive))
        assert np.bincount(objects.owner) == pytest.approx(shapely.area(objects.polygons))
        assert objects.coverage(np.full((24, 24), 3)) == pytest.approx(3)
        assert shapely.total_bounds(objects.polygons).tolist() == pytest.approx([200, 100, 224, 224 - 100], abs=2)


def test_nothing_found_is_a_layer_with_all_fields(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(40, 50))
    assert detect(job_for(tmp_path, model), SilentReporter())["count"] == 0
    layer = polygons(tmp_path)
    assert len(layer) == 0
    assert list(layer.fields) == FIELDS
    assert layer.fields["tile"].dtype == np.int64
    assert (probability(tmp_path) == 0).all()


@pytest.mark.parametrize("name", ["found.geojson", "found.fgb", "found.gpkg"])
@pytest.mark.parametrize("objects", [(), ((3, 3, 4, 4), (20, 3, 5, 5))])
def test_formats(tmp_path, model, name, objects):
    write_stack(tmp_path / "stack.tif", landscape(40, 40, *objects))
    result = detect(job_for(tmp_path, model, output=str(tmp_path / name), probability=None, overlap=0.0), SilentReporter())
    assert len(polygons(tmp_path, name)) == result["count"] >= len(objects)
    assert files(tmp_path) == sorted(["model", name, "stack.tif"])


def test_polygons_written_in_several_goes_are_those_written_in_one(tmp_path, model, monkeypatch):
    red = np.random.default_rng(5).choice([networks.BACKGROUND, networks.OBJECT], size=(64, 64)).astype(np.float32)
    write_stack(tmp_path / "stack.tif", red)
    detect(job_for(tmp_path, model), SilentReporter())
    at_once = polygons(tmp_path)
    monkeypatch.setattr(tile_polygons, "POLYGONS_IN_MEMORY", 200)
    detect(job_for(tmp_path, model), SilentReporter())
    in_goes = polygons(tmp_path)
    assert len(at_once) > 500
    assert shapely.equals_exact(at_once.geometries, in_goes.geometries).all()
    for name in FIELDS:
        assert in_goes.fields[name] == pytest.approx(at_once.fields[name], rel=1e-9), name


@pytest.mark.parametrize("batch_size", [3, 64])
def test_result_does_not_depend_on_the_batch_size(tmp_path, batch_size):
    model = networks.write_model(tmp_path / "model", networks.convolutions())
    rng = np.random.default_rng(7)
    write_stack(tmp_path / "stack.tif", 0.3 * rng.random((50, 75)))
    detect(job_for(tmp_path, model, batch_size=1), SilentReporter())
    first, layer = probability(tmp_path), polygons(tmp_path)
    detect(job_for(tmp_path, model, batch_size=batch_size), SilentReporter())
    assert np.array_equal(probability(tmp_path), first)
    assert len(layer) > 100
    assert np.array_equal(shapely.to_wkb(polygons(tmp_path).geometries), shapely.to_wkb(layer.geometries))


def test_blend_of_a_constant_network_is_constant(tmp_path):
    model = networks.write_model(tmp_path / "model", networks.constant(0.7))
    write_stack(tmp_path / "stack.tif", landscape(75, 101))
    detect(job_for(tmp_path, model, overlap=37.0), SilentReporter())
    assert probability(tmp_path) == pytest.approx(0.7, abs=1e-6)


def test_pooling_network_sees_tiles_of_the_size_and_place_of_the_plan(tmp_path):
    """Without overlap every tile's blended probability is the mean of its own pixels."""
    model = networks.write_model(tmp_path / "model", networks.tile_mean())
    red = np.random.default_rng(2).random((2 * TILE, 3 * TILE)).astype(np.float32)
    write_stack(tmp_path / "stack.tif", red)
    detect(job_for(tmp_path, model, overlap=0.0), SilentReporter())
    means = red.reshape(2, TILE, 3, TILE).mean(axis=(1, 3))
    assert probability(tmp_path) == pytest.approx(np.kron(means, np.ones((TILE, TILE))), abs=1e-5)


def test_threshold_of_the_job_goes_before_that_of_the_card(tmp_path, model):
    red = landscape(TILE, TILE, (2, 2, 5, 5))
    red[20:25, 20:25] = 0.3  # probability 0.4
    write_stack(tmp_path / "stack.tif", red)
    assert detect(job_for(tmp_path, model), SilentReporter())["count"] == 1
    assert detect(job_for(tmp_path, model, threshold=0.3), SilentReporter())["count"] == 2


def test_overlap_of_the_job_goes_before_that_of_the_card(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(2 * TILE, 2 * TILE))
    assert detect(job_for(tmp_path, model), SilentReporter())["tiles"] == 9
    assert detect(job_for(tmp_path, model, overlap=0.0), SilentReporter())["tiles"] == 4


def test_probability_only_when_asked_for(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE))
    assert detect(job_for(tmp_path, model, probability=None), SilentReporter())["probability"] is None
    assert files(tmp_path) == ["model", "stack.tif", "tile_polygons.gpkg"]


def test_probability_raster_is_what_it_says(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(300, 290, (250, 20, 9, 9)))
    detect(job_for(tmp_path, model), SilentReporter())
    with rasterio.open(tmp_path / "stack.tif") as stack, rasterio.open(tmp_path / "probability.tif") as dataset:
        assert (dataset.crs, dataset.transform, dataset.shape) == (stack.crs, stack.transform, stack.shape)
        assert dataset.dtypes == ("float32",)
        assert dataset.descriptions == ("probability",)
        assert math.isnan(dataset.nodata)
        assert dataset.compression.name == "deflate"
        assert dataset.block_shapes == [(256, 256)]
        tags = dataset.tags(ns="ROCK_GLACIER_MAPPER")
        assert (tags["MODEL"], tags["THRESHOLD"]) == ("model", "0.5")
        assert dataset.read(1) == pytest.approx((landscape(300, 290, (250, 20, 9, 9)) == networks.OBJECT).astype(float))


def test_progress_runs_to_its_end_tile_by_tile(tmp_path, model):
    class Listener(SilentReporter):
        texts: list[str] = []

        def progress(self, fraction, text=""):
            super().progress(fraction, text)
            self.texts.append(text)

    write_stack(tmp_path / "stack.tif", landscape(64, 64))
    listener = Listener()
    detect(job_for(tmp_path, model, batch_size=1), listener)
    assert [text for text in dict.fromkeys(listener.texts) if text.startswith("tile")] == [f"tile {n} of 9" for n in range(1, 10)]
    assert listener.fractions == sorted(listener.fractions)
    assert listener.fractions[-1] == 1


def test_seconds_in_network_are_counted(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(64, 64))
    assert detect(job_for(tmp_path, model), SilentReporter())["seconds_in_network"] > 0


# sizes, holes, grids ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "columns"), [(TILE, TILE), (20, 25), (5, TILE), (TILE, 7), (12, 70), (70, 12), (1, 1), (33, 33)])
def test_rasters_about_the_size_of_a_tile(tmp_path, model, rows, columns):
    red = landscape(rows, columns, (0, 0, 3, 4), (rows - 1, columns - 1, 1, 1))
    write_stack(tmp_path / "stack.tif", red)
    detect(job_for(tmp_path, model), SilentReporter())
    assert probability(tmp_path) == pytest.approx((red == networks.OBJECT).astype(float), abs=1e-6)
    united = shapely.union_all(polygons(tmp_path).geometries)
    assert united.area == pytest.approx((red == networks.OBJECT).sum() * GSD**2)


def test_hole_without_values_is_unknown_and_in_no_object(tmp_path, model):
    red = landscape(50, 60, (5, 5, 12, 12))
    red[8:11, 8:11] = np.nan
    red[40, 40] = np.inf
    red[41, 40] = -np.inf
    write_stack(tmp_path / "stack.tif", red)
    detect(job_for(tmp_path, model), SilentReporter())
    assert np.array_equal(np.isnan(probability(tmp_path)), ~np.isfinite(red))
    united = shapely.union_all(polygons(tmp_path).geometries)
    assert united.equals(box(5, 5, 12, 12).difference(box(8, 8, 3, 3)))


@pytest.mark.parametrize("nodata", [np.nan, -9999.0, 0.0])
def test_collar_of_nodata(tmp_path, model, nodata):
    red = landscape(100, 100, (40, 40, 10, 10))
    red[:40], red[80:], red[:, :30], red[:, 77:] = np.nan, np.nan, np.nan, np.nan
    write_stack(tmp_path / "stack.tif", red, nodata=nodata)
    result = detect(job_for(tmp_path, model, overlap=0.0), SilentReporter())
    assert (result["tiles"], result["tiles_skipped"]) == (16, 4)  # the uppermost row of tiles, rows 0-31
    assert np.array_equal(np.isnan(probability(tmp_path)), np.isnan(red))


def test_mask_of_the_raster_itself(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(40, 40, (5, 5, 12, 12)), nodata=None)
    hidden = np.zeros((40, 40), bool)
    hidden[10:14, 3:30] = True
    with rasterio.open(tmp_path / "stack.tif", "r+") as dataset:
        dataset.write_mask(~hidden)
    detect(job_for(tmp_path, model), SilentReporter())
    assert np.array_equal(np.isnan(probability(tmp_path)), hidden)


@pytest.mark.parametrize("how", ["nan", "nodata", "mask"])
def test_unobserved_pixels_stay_unknown_through_resampling(tmp_path, model, how):
    """Pixels of 5 m, a hole on rows and columns 60-99, one band of which is unknown elsewhere too."""
    red = landscape(160, 160, (10, 10, 40, 40))
    hidden = np.zeros((160, 160), bool)
    hidden[60:100, 60:100] = True
    if how != "mask":
        red[hidden] = np.nan
    nodata = {"nan": np.nan, "nodata": -9999.0, "mask": None}[how]
    write_stack(tmp_path / "stack.tif", red, nodata=nodata, transform=Affine(5, 0, 500_000, 0, -5, 5_000_000))
    with rasterio.open(tmp_path / "stack.tif", "r+") as dataset:
        if how == "mask":
            dataset.write_mask(~hidden)
        else:
            dataset.write(np.full((20, 160), nodata, np.float32), 5, window=Window(0, 0, 160, 20))
    detect(job_for(tmp_path, model), SilentReporter())
    unknown = np.isnan(probability(tmp_path))
    assert unknown[62:98, 62:98].all()
    unknown[58:102, 58:102] = False
    assert not unknown.any()
    assert probability(tmp_path)[12:48, 12:48] == pytest.approx(1, abs=1e-3)
    assert np.nanmax(probability(tmp_path)[54:]) == pytest.approx(0, abs=1e-3)


def test_all_nodata_finds_nothing(tmp_path, model):
    write_stack(tmp_path / "stack.tif", np.full((70, 40), np.nan))
    result = detect(job_for(tmp_path, model), SilentReporter())
    assert (result["count"], result["tiles_skipped"]) == (0, result["tiles"])
    assert np.isnan(probability(tmp_path)).all()
    assert list(polygons(tmp_path).fields) == FIELDS


@pytest.mark.parametrize(
    "pixel", [pytest.param(2.5, id="finer"), pytest.param(20.0, id="coarser"), pytest.param(4.0, id="not a whole multiple")]
)
def test_other_resolutions_are_brought_to_the_models_and_back(tmp_path, model, pixel):
    """An object of 200 m by 200 m in 1 km by 1 km, found at its place and written on the stack's own grid."""
    transform = Affine(pixel, 0, 500_000, 0, -pixel, 5_000_000)
    side, first, size = (round(metres / pixel) for metres in (1000, 400, 200))
    write_stack(tmp_path / "stack.tif", landscape(side, side, (first, first, size, size)), transform=transform)
    reporter = SilentReporter()
    detect(job_for(tmp_path, model), reporter)
    united = shapely.union_all(polygons(tmp_path).geometries)
    truth = box(first, first, size, size, transform)
    assert united.intersection(truth).area / united.union(truth).area > 0.85
    assert united.centroid.distance(truth.centroid) < GSD / 2
    with rasterio.open(tmp_path / "probability.tif") as dataset:
        assert (dataset.transform, dataset.shape) == (transform, (side, side))
        values = dataset.read(1)
    middle = first + size // 2
    assert values[middle, middle] == pytest.approx(1, abs=1e-3)
    assert values[: first // 2] == pytest.approx(0)
    assert not np.isnan(values).any()
    assert any("resampled" in text for text in reporter.infos)


def test_pixels_within_five_percent_are_taken_as_they_are(tmp_path, model):
    transform = Affine(10.3, 0, 500_000, 0, -10.3, 5_000_000)
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE, (5, 7, 4, 6)), transform=transform)
    reporter = SilentReporter()
    detect(job_for(tmp_path, model), reporter)
    assert polygons(tmp_path).geometries[0].equals_exact(box(5, 7, 4, 6, transform), 1e-6, normalize=True)
    assert reporter.infos == []


@pytest.mark.parametrize(("pixel", "code"), [(30.0, "resolution"), (4.0, "resolution"), (15.0, None), (6.0, None)])
def test_resolution_far_from_the_models_is_warned_of(tmp_path, model, pixel, code):
    write_stack(tmp_path / "stack.tif", landscape(40, 40), transform=Affine(pixel, 0, 500_000, 0, -pixel, 5_000_000))
    reporter = SilentReporter()
    detect(job_for(tmp_path, model, probability=None), reporter)
    assert [warning for warning, _ in reporter.warnings] == [code] * (code is not None)


ROTATED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(20) @ Affine.scale(GSD, -GSD)
OTHER_GRIDS = [
    pytest.param("EPSG:4326", Affine(1.3e-4, 0, 9.0, 0, -9e-5, 45.0), id="degrees"),
    pytest.param("EPSG:32632", ROTATED, id="rotated"),
    pytest.param("EPSG:32632", Affine(8, 0, 500_000, 0, -12.5, 5_000_000), id="not square"),
    pytest.param("EPSG:32632", Affine(GSD, 0, 500_000, 0, GSD, 5_000_000), id="upside down"),
    pytest.param("EPSG:3857", Affine(14, 0, 1_000_000, 0, -14, 5_600_000), id="Web Mercator"),
]


@pytest.mark.parametrize(("crs", "transform"), OTHER_GRIDS)
def test_grids_that_are_not_north_up_metres(tmp_path, model, crs, transform):
    write_stack(tmp_path / "stack.tif", landscape(90, 80, (30, 35, 20, 24)), crs=crs, transform=transform)
    reporter = SilentReporter()
    detect(job_for(tmp_path, model), reporter)
    layer = polygons(tmp_path)
    truth = box(30, 35, 20, 24, transform)
    united = shapely.union_all(layer.geometries)
    assert layer.crs == CRS(crs)
    assert united.intersection(truth).area / united.union(truth).area > 0.85
    with rasterio.open(tmp_path / "probability.tif") as dataset:
        assert (dataset.transform, dataset.shape) == (transform, (90, 80))
        values = dataset.read(1)
    assert values[33:47, 38:56].min() > 0.9
    assert np.nanmax(values[:25]) == 0
    assert np.isnan(values).mean() < 0.02
    assert reporter.infos


def test_area_is_that_on_the_ground_whatever_the_crs(tmp_path, model):
    for crs, transform in [(networks.UTM, NORTH_UP), ("EPSG:4326", Affine(1.3e-4, 0, 9.0, 0, -9e-5, 45.0))]:
        write_stack(tmp_path / "stack.tif", landscape(90, 80, (30, 35, 20, 24)), crs=crs, transform=transform)
        detect(job_for(tmp_path, model), SilentReporter())
        layer = polygons(tmp_path)
        geod = Geod(ellps="WGS84")
        degrees = layer.in_crs("EPSG:4326").geometries
        expected = [abs(geod.geometry_area_perimeter(geometry)[0]) for geometry in degrees]
        assert layer.fields["area_m2"] == pytest.approx(expected, rel=1e-5)


# bands --------------------------------------------------------------------------------------------------------------------


def test_bands_are_found_by_name_in_any_order_and_case(tmp_path, model):
    red = landscape(TILE, TILE, (5, 7, 4, 6))
    write_stack(tmp_path / "stack.tif", red, names=("Red", "NIR", "BLUE", "Green", None))
    assert detect(job_for(tmp_path, model), SilentReporter())["count"] == 1


def test_indices_are_computed_where_the_stack_has_none(tmp_path):
    """With red 0.1 and nir 0.5 SAVI = 1.5 * 0.4 / 1.1 = 0.545; with red 0.45, 0.052: probability 1 and 0."""
    model = networks.write_model(tmp_path / "model", networks.pointwise("savi"))
    red = landscape(TILE, TILE, (5, 7, 4, 6))
    write_stack(tmp_path / "stack.tif", red, names=("red", "green", "blue", "nir"), others=0.5)
    detect(job_for(tmp_path, model), SilentReporter())
    assert probability(tmp_path) == pytest.approx((red == networks.BACKGROUND).astype(float), abs=1e-6)


def test_indices_of_the_stack_go_before_computed_ones(tmp_path):
    model = networks.write_model(tmp_path / "model", networks.pointwise("savi"))
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE), others=0.325)  # savi 0.325: probability 0.5
    detect(job_for(tmp_path, model), SilentReporter())
    assert probability(tmp_path) == pytest.approx(0.5)


@pytest.mark.parametrize("names", [("red", "green", "blue"), networks.STACK_BANDS], ids=["no band", "empty band"])
def test_true_colour_scene_works_where_the_model_can_do_without_nir(tmp_path, model, names):
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE, (5, 7, 4, 6)), names=names)
    if len(names) > 3:
        with rasterio.open(tmp_path / "stack.tif", "r+") as dataset:
            for band in (4, 5, 6):
                dataset.write(np.full((TILE, TILE), np.nan, np.float32), band)
    reporter = SilentReporter()
    assert detect(job_for(tmp_path, model), reporter)["count"] == 1
    assert any("near-infrared" in text for text in reporter.infos)


@pytest.mark.parametrize("empty", [False, True], ids=["no band", "empty band"])
def test_true_colour_scene_is_refused_where_the_model_needs_nir(tmp_path, empty):
    model = networks.write_model(tmp_path / "model", networks.pointwise(), nir="required")
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE), names=networks.STACK_BANDS if empty else ("red", "green", "blue"))
    if empty:
        with rasterio.open(tmp_path / "stack.tif", "r+") as dataset:
            dataset.write(np.full((TILE, TILE), np.nan, np.float32), 4)
    error = failure(job_for(tmp_path, model))
    assert error.code == "band_missing"
    assert "near-infrared" in error.text


def test_missing_band_is_named_with_those_there_are(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE), names=("red", "green", "nir"))
    error = failure(job_for(tmp_path, model))
    assert error.code == "band_missing"
    assert "blue" in error.text
    assert "red, green, nir" in error.text


def test_a_model_of_some_bands_takes_those_of_the_stack(tmp_path):
    model = networks.write_model(tmp_path / "model", networks.pointwise("nir", ("nir", "red")), bands=["nir", "red"])
    names = ("blue", "green", "red", "nir")
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE), names=names, others=BACKGROUND)
    with rasterio.open(tmp_path / "stack.tif", "r+") as dataset:
        dataset.write(landscape(TILE, TILE, (5, 7, 4, 6)), 4)
        dataset.write(np.full((TILE, TILE), np.nan, np.float32), 2)
    assert detect(job_for(tmp_path, model), SilentReporter())["count"] == 1
    assert polygons(tmp_path).geometries[0].equals(box(5, 7, 4, 6))


def test_a_model_of_true_colours_says_nothing_of_near_infrared(tmp_path):
    model = networks.write_model(tmp_path / "model", networks.pointwise("red", STACK_BANDS[:3]), bands=STACK_BANDS[:3], nir="required")
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE, (5, 7, 4, 6)), names=STACK_BANDS[:3])
    reporter = SilentReporter()
    assert detect(job_for(tmp_path, model), reporter)["count"] == 1
    assert not any("near-infrared" in text for text in reporter.infos)


def test_a_model_of_more_bands_than_a_stack_has_finds_them_by_name(tmp_path):
    bands = ("red", "slope", "coherence")
    model = networks.write_model(tmp_path / "model", networks.pointwise("slope", bands), bands=bands)
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE, (5, 7, 4, 6)), names=("slope", *STACK_BANDS, "coherence"))
    assert detect(job_for(tmp_path, model), SilentReporter())["count"] == 1


@pytest.mark.parametrize(("further", "text"), [(("slope",), "add slope"), (("slope", "coherence"), "add slope, coherence")])
def test_bands_that_a_stack_lacks_are_named(tmp_path, further, text):
    bands = ("red", *further)
    model = networks.write_model(tmp_path / "model", networks.pointwise("red", bands), bands=bands)
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE))
    error = failure(job_for(tmp_path, model))
    assert error.code == "band_missing"
    assert text in error.text
    assert "red, green, blue, nir, evi, savi" in error.text
    assert "Prepare" not in error.text


def test_bands_without_names_are_sent_to_prepare(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE), names=(None, None, None, None))
    error = failure(job_for(tmp_path, model))
    assert error.code == "bands_unnamed"
    assert "Prepare spectral stack" in error.text


@pytest.mark.parametrize(
    ("factor", "offset", "sensor"),
    [(10_000, 0, "sentinel2_l2a"), (255, 0, "naip"), (36364, 7273, "landsat_c2_l2")],
)
def test_values_that_are_no_reflectance_are_sent_to_prepare(tmp_path, model, factor, offset, sensor):
    red = landscape(200, 200) * factor + offset
    write_stack(tmp_path / "stack.tif", red, others=0.3 * factor + offset, dtype="uint16", nodata=0)
    error = failure(job_for(tmp_path, model))
    assert error.code == "not_reflectance"
    assert sensor in error.text
    assert files(tmp_path) == ["model", "stack.tif"]


def test_a_few_bright_pixels_are_no_reason_to_refuse(tmp_path, model):
    red = landscape(100, 100)
    red[::20, ::20] = 2.0
    write_stack(tmp_path / "stack.tif", red)
    detect(job_for(tmp_path, model), SilentReporter())


# mask ---------------------------------------------------------------------------------------------------------------------


def write_mask(path, *geometries, crs=networks.UTM):
    write_polygons(path, PolygonLayer(np.array(geometries, object), CRS(crs)), "area")
    return str(path)


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326", "EPSG:3035"])
def test_nothing_outside_the_mask(tmp_path, model, crs):
    """The mask covers the left part of the one object and none of the other."""
    write_stack(tmp_path / "stack.tif", landscape(100, 120, (10, 10, 20, 20), (70, 80, 20, 20)))
    inside = box(0, 0, 60, 20)
    layer = PolygonLayer(np.array([inside], object), CRS(networks.UTM)).in_crs(crs)
    mask = write_mask(tmp_path / "mask.gpkg", *layer.geometries, crs=crs)
    result = detect(job_for(tmp_path, model, mask=mask), SilentReporter())
    assert shapely.union_all(polygons(tmp_path).geometries).equals(box(10, 10, 20, 10))
    expected = np.full((100, 120), np.nan)
    expected[:60, :20] = 0
    expected[10:30, 10:20] = 1
    assert probability(tmp_path) == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert 0 < result["tiles_skipped"] < result["tiles"]


def test_mask_on_a_resampled_grid_holds_on_the_stacks_own(tmp_path, model):
    transform = Affine(4, 0, 500_000, 0, -4, 5_000_000)
    write_stack(tmp_path / "stack.tif", landscape(200, 200, (40, 40, 100, 100)), transform=transform)
    mask = write_mask(tmp_path / "mask.gpkg", box(0, 0, 93, 101, transform))
    detect(job_for(tmp_path, model, mask=mask), SilentReporter())
    known = ~np.isnan(probability(tmp_path))
    assert not known[93:].any()
    assert not known[:, 101:].any()
    assert known[:90, :98].all()


def test_mask_elsewhere_finds_nothing_and_warns(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(50, 50, (5, 5, 9, 9)))
    mask = write_mask(tmp_path / "mask.gpkg", shapely.box(-70.0, -30.0, -69.0, -29.0), crs="EPSG:4326")
    reporter = SilentReporter()
    result = detect(job_for(tmp_path, model, mask=mask), reporter)
    assert (result["count"], result["tiles_skipped"]) == (0, result["tiles"])
    assert [code for code, _ in reporter.warnings] == ["mask_outside"]
    assert np.isnan(probability(tmp_path)).all()


def test_mask_of_half_the_world(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(50, 50, (5, 5, 9, 9)))
    mask = write_mask(tmp_path / "mask.gpkg", shapely.box(-180, 0, 180, 90), crs="EPSG:4326")
    detect(job_for(tmp_path, model, mask=mask), SilentReporter())
    assert not np.isnan(probability(tmp_path)).any()


def test_invalid_mask_is_repaired(tmp_path, model):
    """A bow tie: two triangles that meet in a point."""
    write_stack(tmp_path / "stack.tif", landscape(40, 40))
    corners = [NORTH_UP @ corner for corner in ((0, 0), (40, 40), (40, 0), (0, 40))]
    mask = tmp_path / "mask.geojson"
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    mask.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    reporter = SilentReporter()
    detect(job_for(tmp_path, model, mask=str(mask)), reporter)
    assert any("repaired" in text for text in reporter.infos)
    known = ~np.isnan(probability(tmp_path))
    assert known[20, 1]
    assert known[20, 38]
    assert not known[1, 20]
    assert not known[38, 20]


# what can go wrong --------------------------------------------------------------------------------------------------------


def untouched(folder):
    """Outputs of an earlier run; call the result to see that they are still there and nothing else is."""
    (folder / "tile_polygons.gpkg").write_text("earlier polygons")
    (folder / "probability.tif").write_text("earlier probability")
    before = files(folder)

    def check():
        assert files(folder) == before
        assert (folder / "tile_polygons.gpkg").read_text() == "earlier polygons"
        assert (folder / "probability.tif").read_text() == "earlier probability"

    return check


@pytest.mark.parametrize("calls", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("gsd", [GSD, 5.0])
def test_cancelled_run_leaves_everything_as_it_was(tmp_path, calls, gsd):
    model = networks.write_model(tmp_path / "model", networks.pointwise(), gsd_m=gsd)
    write_stack(tmp_path / "stack.tif", landscape(64, 64, (5, 5, 20, 20)))
    check = untouched(tmp_path)
    with pytest.raises(Cancelled):
        detect(job_for(tmp_path, model, batch_size=1), SilentReporter(cancel_after=calls))
    check()


def test_cancelled_while_the_probability_is_brought_to_the_stacks_grid(tmp_path):
    class AtTheEnd(SilentReporter):
        def progress(self, fraction, text=""):
            if 0.95 < fraction < 1:
                raise Cancelled
            super().progress(fraction, text)

    model = networks.write_model(tmp_path / "model", networks.pointwise(), gsd_m=5.0)
    write_stack(tmp_path / "stack.tif", landscape(64, 64, (5, 5, 20, 20)))
    check = untouched(tmp_path)
    with pytest.raises(Cancelled):
        detect(job_for(tmp_path, model), AtTheEnd())
    check()


def test_damaged_model(tmp_path, model):
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE))
    (model / "model.onnx").write_bytes((model / "model.onnx").read_bytes()[:-7])
    check = untouched(tmp_path)
    assert failure(job_for(tmp_path, model)).code == "model_damaged"
    check()


def test_model_that_answers_nonsense(tmp_path):
    model = networks.write_model(tmp_path / "model", networks.constant(float("nan")))
    write_stack(tmp_path / "stack.tif", landscape(64, 64))
    check = untouched(tmp_path)
    assert failure(job_for(tmp_path, model)).code == "model_output"
    check()


@pytest.mark.parametrize("pixel", [GSD, 5.0], ids=["as is", "resampled"])
def test_truncated_stack(tmp_path, model, pixel):
    transform = Affine(pixel, 0, 500_000, 0, -pixel, 5_000_000)
    path = write_stack(tmp_path / "stack.tif", np.random.default_rng(0).random((300, 300)), transform=transform, tiled=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    check = untouched(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert failure(job_for(tmp_path, model)).code in ("truncated_file", "not_a_raster")
    check()


@pytest.mark.parametrize("output", ["polygons", "probability"])
def test_full_disk(tmp_path, model, monkeypatch, output):
    def fails(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    if output == "polygons":
        monkeypatch.setattr(tile_polygons, "write_layer", fails)
    else:
        monkeypatch.setattr(detect_module.RowWriter, "_write", fails)
    write_stack(tmp_path / "stack.tif", landscape(300, 40, (5, 5, 9, 9)))
    check = untouched(tmp_path)
    error = failure(job_for(tmp_path, model))
    assert error.code == "disk_full"
    assert ("tile_polygons.gpkg" if output == "polygons" else "probability.tif") in error.text
    check()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"output": "{folder}/polygons.shp"}, "output_format"),
        ({"output": "{folder}/nowhere/polygons.gpkg"}, "output_folder"),
        ({"probability": "{folder}/nowhere/probability.tif"}, "output_folder"),
        ({"model": "no such model"}, "model_missing"),
        ({"input": "{folder}/absent.tif"}, "file_missing"),
        ({"mask": "{folder}/absent.gpkg"}, "file_missing"),
    ],
)
def test_impossible_parameters(tmp_path, model, changes, code):
    write_stack(tmp_path / "stack.tif", landscape(TILE, TILE))
    placed = {name: value.format(folder=tmp_path) if isinstance(value, str) else value for name, value in changes.items()}
    before = files(tmp_path)
    assert failure(job_for(tmp_path, model, **placed)).code == code
    assert files(tmp_path) == before


def test_every_pixel_is_read_once(tmp_path, model, monkeypatch):
    write_stack(tmp_path / "stack.tif", landscape(100, 70))
    monkeypatch.setattr(detect_module, "check_stack", lambda *arguments: False)
    times_read = np.zeros((100, 70), int)
    original = detect_module.read_channels

    def counting(source, channels, window):
        times_read[window.toslices()] += 1
        return original(source, channels, window)

    monkeypatch.setattr(detect_module, "read_channels", counting)
    detect(job_for(tmp_path, model, overlap=70.0), SilentReporter())
    assert (times_read == 1).all()
