"""What post-processing adds to outlines: drawn boundaries, uncertainty, what could be seen, restricted footprints, the report."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.features import shapes

from engine.errors import Cancelled, EngineError
from engine.geodesy import geodesic_area
from engine.postprocess import postprocess
from engine.rasters import PASSPORT
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, read_polygons, read_table, write_polygons
from jobs import PostprocessJob
from tests.engine.test_postprocess import EAST, NORTH, SQUARE, UTM, box, on_map, write_permafrost, write_tiles

PIXEL = 10.0
GRID = Affine(PIXEL, 0, EAST, 0, -PIXEL, NORTH + 1000)
"""100 x 100 pixels of 10 m."""


def tongue(rows: int = 100, columns: int = 100, left: int = 30) -> NDArray[np.float32]:
    """Probability of a tongue 30 pixels wide that ends in a half circle: 1 in its middle, 0.5 at its edge, 0 far out."""
    row, column = np.mgrid[:rows, :columns] + 0.5
    from_axis = np.where(row < 60, np.abs(column - left - 15), np.hypot(row - 60, column - left - 15))
    inside = np.where(row < 20, np.minimum(15 - from_axis, row - 20), 15 - from_axis)
    return np.clip(0.5 + inside / 20, 0, 1).astype(np.float32)


def write_probability(path: Path, values: NDArray[np.float32], threshold: str = "0.5", transform: Affine = GRID) -> Path:
    profile = {"driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": "float32", "nodata": np.nan}
    with rasterio.open(path, "w", crs="EPSG:32647", transform=transform, **profile) as dataset:
        dataset.write(values, 1)
        dataset.update_tags(ns=PASSPORT, THRESHOLD=threshold)
    return path


def write_pixels(path: Path, mask: NDArray[np.bool_], crs: CRS = UTM) -> Path:
    """Tile polygons along the pixel edges of a mask, all seen by one tile."""
    outlines = [shapely.Polygon(*outline["coordinates"]) for outline, _ in shapes(mask.astype(np.uint8), mask=mask, transform=GRID)]
    geometries = np.array(outlines, dtype=object)
    if crs != UTM:
        geometries = shapely.transform(geometries, Transformer.from_crs(UTM, crs, always_xy=True).transform, interleaved=False)
    fields = {"tile": np.arange(len(geometries)), "coverage": np.ones(len(geometries)), "probability_mean": np.full(len(geometries), 0.8)}
    write_polygons(path, PolygonLayer(geometries, crs, fields), "tile_polygons")
    return path


def run(folder: Path, source: Path, **job: Any) -> tuple[PolygonLayer, dict[str, Any], SilentReporter]:
    reporter = SilentReporter()
    result = postprocess(PostprocessJob(str(source), str(folder / "outlines.gpkg"), **job), reporter)
    return read_polygons(folder / "outlines.gpkg"), result, reporter


# Boundaries -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crs", [UTM, CRS.from_epsg(4326)], ids=["metres", "degrees"])
def test_pixel_edges_are_smoothed_and_the_raw_outline_is_kept_on_request(tmp_path: Path, crs: CRS) -> None:
    source = write_pixels(tmp_path / "in.gpkg", tongue() >= 0.5, crs)
    outlines, result, reporter = run(tmp_path, source, raw=str(tmp_path / "raw.gpkg"))
    raw = read_polygons(tmp_path / "raw.gpkg")
    assert result["raw"] == str(tmp_path / "raw.gpkg")
    assert (list(raw.fields), raw.fields["id"].tolist()) == (["id", "area_km2", "perimeter_km"], outlines.fields["id"].tolist())
    source_polygons = read_polygons(source).geometries
    assert shapely.hausdorff_distance(raw.geometries, source_polygons).max() < (1e-3 if crs == UTM else 1e-8)
    assert shapely.is_valid(outlines.geometries).all()
    assert outlines.fields["area_km2"] == pytest.approx(raw.fields["area_km2"], rel=0.01)
    assert outlines.fields["area_km2"] == pytest.approx(geodesic_area(outlines.geometries, crs) / 1e6, rel=1e-9)
    assert outlines.fields["perimeter_km"][0] < 0.95 * raw.fields["perimeter_km"][0]
    assert next(step for step in result["steps"] if step["step"] == "smoothing")["touched"] == 1
    assert any("smoothed by up to 10 m" in text for text in reporter.infos)


def test_smoothing_by_a_given_distance_and_none_at_all(tmp_path: Path) -> None:
    source = write_pixels(tmp_path / "in.gpkg", tongue() >= 0.5)
    lengths = [run(tmp_path, source, smoothing=smoothing)[0].fields["perimeter_km"][0] for smoothing in (0.0, 5.0, 20.0)]
    assert lengths[0] > lengths[1] > lengths[2]
    assert shapely.equals(run(tmp_path, source, smoothing=0.0)[0].geometries, read_polygons(source).geometries).all()


def test_hand_drawn_polygons_are_not_smoothed_by_a_pixel_that_they_do_not_have(tmp_path: Path) -> None:
    drawn = "POLYGON ((0 0, 211 37, 257 203, 133 260, 21 190, 0 0))"
    source = write_tiles(tmp_path / "in.gpkg", [(drawn, 1, 1.0)])
    outlines, _, reporter = run(tmp_path, source)
    assert shapely.hausdorff_distance(outlines.geometries[0], on_map(drawn)) < 1e-3
    assert any("not smoothed" in text for text in reporter.infos)


def test_neighbours_that_share_a_border_still_do(tmp_path: Path) -> None:
    mask = tongue() >= 0.5
    west, east = mask.copy(), mask.copy()
    border = 40 + (np.arange(100) // 3) % 4
    west[np.arange(100)[None] >= border[:, None]] = False
    east[np.arange(100)[None] < border[:, None]] = False
    write_pixels(tmp_path / "west.gpkg", west)
    write_pixels(tmp_path / "east.gpkg", east)
    halves = np.concatenate([read_polygons(tmp_path / f"{side}.gpkg").geometries for side in ("west", "east")])
    write_polygons(tmp_path / "in.gpkg", PolygonLayer(halves, UTM), "halves")
    outlines, result, _ = run(tmp_path, tmp_path / "in.gpkg", unite=False, require_support=False)
    assert result["count"] == 2
    assert shapely.intersection(*outlines.geometries).area < 1.0
    assert shapely.union_all(outlines.geometries).area == pytest.approx(shapely.area(outlines.geometries).sum(), abs=1.0)


def test_on_request_outlines_end_at_the_contour_of_the_probability(tmp_path: Path) -> None:
    probability = tongue()
    wide = np.zeros(probability.shape, dtype=bool)
    wide[10:80, 20:90] = True  # what one tile saw, with its straight edges
    source = write_pixels(tmp_path / "in.gpkg", wide)
    raster = str(write_probability(tmp_path / "p.tif", probability))
    by_tiles, _, _ = run(tmp_path, source, probability=raster, smoothing=0.0)
    outlines, result, _ = run(tmp_path, source, probability=raster, smoothing=0.0, boundary="probability")
    assert shapely.area(by_tiles.geometries) == pytest.approx([wide.sum() * PIXEL**2])
    assert shapely.area(outlines.geometries) == pytest.approx([(probability >= 0.5).sum() * PIXEL**2])
    assert outlines.fields["votes"] == by_tiles.fields["votes"]
    contour = next(step for step in result["steps"] if step["step"] == "contour")
    assert (contour["in"], contour["out"], contour["touched"]) == (1, 1, 1)


def test_what_the_contour_leaves_of_an_outline_is_no_outline_when_it_is_too_small(tmp_path: Path) -> None:
    probability = np.full((100, 100), 0.2, np.float32)
    probability[40:50, 40:50] = 0.9
    source = write_pixels(tmp_path / "in.gpkg", probability >= 0.1)
    raster = str(write_probability(tmp_path / "p.tif", probability))
    outlines, result, _ = run(tmp_path, source, probability=raster, boundary="probability")
    assert len(outlines) == 0
    assert next(step for step in result["steps"] if step["step"] == "contour")["out"] == 0
    assert len(run(tmp_path, source, probability=raster, boundary="probability", min_area=9000.0)[0]) == 1


def test_the_contour_needs_the_threshold_that_it_is_drawn_at(tmp_path: Path) -> None:
    source = write_pixels(tmp_path / "in.gpkg", tongue() >= 0.5)
    raster = str(write_probability(tmp_path / "p.tif", tongue(), threshold=""))
    with pytest.raises(EngineError) as raised:
        run(tmp_path, source, probability=raster, boundary="probability")
    assert raised.value.code == "no_threshold"


# Uncertainty ----------------------------------------------------------------------------------------------------------


def test_the_probability_bounds_the_area(tmp_path: Path) -> None:
    probability = tongue()
    source = write_pixels(tmp_path / "in.gpkg", probability >= 0.5)
    raster = write_probability(tmp_path / "p.tif", probability)
    outlines, _, _ = run(tmp_path, source, probability=str(raster), area_lo_level=0.7, area_hi_level=0.3)
    fields = {name: values[0] for name, values in outlines.fields.items()}
    pixels = probability[probability >= 0.5]
    assert fields["probability_mean"] == pytest.approx(pixels.mean(), abs=0.02)
    assert fields["probability_sd"] == pytest.approx(pixels.std(), abs=0.02)
    assert fields["area_lo_km2"] == pytest.approx((probability >= 0.7).sum() * 1e-4, rel=0.05)
    assert fields["area_hi_km2"] == pytest.approx((probability >= 0.3).sum() * 1e-4, rel=0.05)
    assert fields["area_lo_km2"] < fields["area_km2"] < fields["area_hi_km2"]


def test_a_probability_of_another_place_changes_nothing_and_is_mentioned(tmp_path: Path) -> None:
    source = write_pixels(tmp_path / "in.gpkg", tongue() >= 0.5)
    raster = write_probability(tmp_path / "p.tif", tongue(), transform=Affine.translation(50_000, 0) @ GRID)
    outlines, _, reporter = run(tmp_path, source, probability=str(raster))
    assert outlines.fields["probability_mean"].tolist() == [0.8]
    assert np.isnan([outlines.fields[name][0] for name in ("probability_sd", "area_lo_km2", "area_hi_km2")]).all()
    assert any("says nothing about 1 of 1" in text for text in reporter.infos)


def test_levels_follow_the_threshold_that_the_outlines_were_cut_at(tmp_path: Path) -> None:
    source = write_pixels(tmp_path / "in.gpkg", tongue() >= 0.1)
    outlines, _, reporter = run(tmp_path, source, probability=str(write_probability(tmp_path / "p.tif", tongue(), "0.1")))
    assert any("cut at a probability of 0.1" in text for text in reporter.infos)
    assert 0 < outlines.fields["area_lo_km2"][0] < outlines.fields["area_km2"][0] < outlines.fields["area_hi_km2"][0]


def slope(rows: int = 100, columns: int = 100) -> NDArray[np.float32]:
    """Elevation that falls to the south by a third of a metre a metre, convex over the tongue, with a steep talus at its edge."""
    row, _ = np.mgrid[:rows, :columns] + 0.5
    talus = 30 * np.clip((tongue(rows, columns) - 0.5) / 0.2, 0, 1)
    return (4500 - row * PIXEL / 3 + talus).astype(np.float32)


def test_a_slope_tells_front_sides_and_upslope_section_apart(tmp_path: Path) -> None:
    source = write_pixels(tmp_path / "in.gpkg", tongue() >= 0.5)
    raster, dem = write_probability(tmp_path / "p.tif", tongue()), write_probability(tmp_path / "dem.tif", slope())
    outlines, _, _ = run(tmp_path, source, probability=str(raster), dem=str(dem))
    reliabilities = [outlines.fields[f"reliability_{section}"][0] for section in ("front", "left", "right", "upslope")]
    assert set(reliabilities) <= {0, 1, 2}
    without, _, _ = run(tmp_path, source, probability=str(raster))
    assert all(np.isnan(float(without.fields[f"reliability_{section}"][0])) for section in ("front", "left", "right", "upslope"))


def test_elevation_of_a_part_of_the_outlines_leaves_the_others_unknown(tmp_path: Path) -> None:
    mask = np.concatenate([tongue(), tongue()], axis=1)
    source = write_pixels(tmp_path / "in.gpkg", mask >= 0.5)
    raster, dem = write_probability(tmp_path / "p.tif", mask), write_probability(tmp_path / "dem.tif", slope())
    outlines, _, reporter = run(tmp_path, source, probability=str(raster), dem=str(dem))
    west, east = np.argsort(shapely.bounds(outlines.geometries)[:, 0])
    front = outlines.fields["reliability_front"].astype(float)
    assert np.isfinite(front[west])
    assert np.isnan(front[east])
    assert any("1 of 2 outlines have no fall line" in text for text in reporter.infos)


def test_restricted_footprints_lie_within_their_outlines(tmp_path: Path) -> None:
    source = write_pixels(tmp_path / "in.gpkg", tongue() >= 0.5)
    dem = write_probability(tmp_path / "dem.tif", slope())
    outlines, result, _ = run(tmp_path, source, dem=str(dem), restricted=str(tmp_path / "restricted.gpkg"))
    restricted = read_polygons(tmp_path / "restricted.gpkg")
    assert result["restricted_count"] == len(restricted) == 1
    assert (restricted.fields["id"].tolist(), restricted.fields["out_type"].tolist()) == ([1], ["Restricted"])
    assert shapely.within(restricted.geometries, shapely.buffer(outlines.geometries, 0.01)).all()
    assert 0.5 < restricted.fields["area_km2"][0] / outlines.fields["area_km2"][0] < 0.95


# What could be seen ---------------------------------------------------------------------------------------------------


def test_what_could_be_seen_by_a_raster(tmp_path: Path) -> None:
    snow = write_permafrost(tmp_path / "snow.tif", [[0, 3, 9], [0, 1, 9]])  # cells of 100 m, 9 is nodata
    source = write_tiles(tmp_path / "in.gpkg", [(SQUARE, 1, 1.0), (box(210, 0, 290, 200), 2, 1.0)])
    outlines, _, _ = run(tmp_path, source, smoothing=0.0, min_area=0.0, not_assessable=str(snow))
    assert sorted(outlines.fields["visible_fraction"]) == pytest.approx([0.5, np.nan], nan_ok=True)
    outlines, _, _ = run(tmp_path, source, smoothing=0.0, min_area=0.0, not_assessable=str(snow), not_assessable_classes="3,8-11")
    assert np.nanmax(outlines.fields["visible_fraction"]) == pytest.approx(0.75)


def test_what_could_be_seen_by_polygons_everything_elsewhere(tmp_path: Path) -> None:
    clouds = PolygonLayer(np.array([on_map(box(-50, -50, 50, 250))], dtype=object), UTM)
    write_polygons(tmp_path / "clouds.gpkg", clouds, "clouds")
    source = write_tiles(tmp_path / "in.gpkg", [(SQUARE, 1, 1.0), (box(9000, 0, 9200, 200), 2, 1.0)])
    outlines, _, _ = run(tmp_path, source, smoothing=0.0, not_assessable=str(tmp_path / "clouds.gpkg"))
    assert sorted(outlines.fields["visible_fraction"]) == pytest.approx([0.75, 1.0])


def test_a_mask_of_another_place_is_mentioned(tmp_path: Path) -> None:
    snow = write_permafrost(tmp_path / "snow.tif", [[1]])
    outlines, _, reporter = run(tmp_path, write_tiles(tmp_path / "in.gpkg", [(box(5000, 0, 5200, 200), 1, 1.0)]), not_assessable=str(snow))
    assert np.isnan(outlines.fields["visible_fraction"]).all()
    assert [code for code, _ in reporter.warnings] == ["not_assessable_no_overlap"]


# Permafrost -----------------------------------------------------------------------------------------------------------


def test_permafrost_by_a_preset_with_a_buffer_and_its_source(tmp_path: Path) -> None:
    permafrost = write_permafrost(tmp_path / "Perma_Distr_map.tif", [[0, 1, 1, 1], [0, 1, 1, 1]])
    source = write_tiles(tmp_path / "in.gpkg", [(box(110, 50, 190, 150), 1, 1.0)])
    job = {"permafrost": str(permafrost), "permafrost_preset": "zou_zhao", "min_area": 0.0, "smoothing": 0.0}
    outlines, _, _ = run(tmp_path, source, **job, permafrost_buffer=0.0)
    assert outlines.fields["permafrost_fraction"].tolist() == [1.0]
    assert outlines.fields["permafrost_source"].tolist() == ["Zou et al. 2017, doi:10.5194/tc-11-2527-2017 (Perma_Distr_map.tif)"]
    outlines, _, _ = run(tmp_path, source, **job)
    assert 0.6 < outlines.fields["permafrost_fraction"][0] < 0.75
    outlines, _, _ = run(tmp_path, source, **job, permafrost_source="Perma_Distr_map, 2017")
    assert outlines.fields["permafrost_source"].tolist() == ["Perma_Distr_map, 2017"]


def test_what_is_dropped_is_in_no_output(tmp_path: Path) -> None:
    permafrost = write_permafrost(tmp_path / "permafrost.tif", [[1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0]])
    source = write_tiles(tmp_path / "in.gpkg", [(box(400, 0, 600, 200), 1, 1.0), (box(0, -1, 200, 199), 2, 1.0)])
    job = {"permafrost": str(permafrost), "permafrost_action": "drop", "permafrost_buffer": 0.0, "smoothing": 0.0}
    outlines, _, _ = run(tmp_path, source, **job, raw=str(tmp_path / "raw.gpkg"))
    raw = read_polygons(tmp_path / "raw.gpkg")
    assert outlines.fields["id"].tolist() == raw.fields["id"].tolist() == [1]
    assert shapely.equals(raw.geometries, outlines.geometries).all()


# The report and the outputs together ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "gpkg"])
def test_report(tmp_path: Path, ending: str) -> None:
    report = tmp_path / f"report.{ending}"
    source = write_tiles(tmp_path / "in.gpkg", [(SQUARE, 1, 2.0), (box(100, 0, 300, 200), 2, 2.0)])
    _, result, _ = run(tmp_path, source, report=str(report))
    table = read_table(report)
    assert list(table) == ["step", "in", "out", "touched", "area_km2"]
    assert table["step"].tolist() == ["polygons", "min_area", "fill_holes", "support", "union", "contour", "smoothing", "permafrost"]
    for name in ("in", "out", "touched", "area_km2"):
        assert [float(value) for value in table[name]] == pytest.approx([step[name] for step in result["steps"]])


def test_all_outputs_appear_or_none(tmp_path: Path) -> None:
    source = write_tiles(tmp_path / "in.gpkg", [(SQUARE, 1, 2.0), (SQUARE, 2, 2.0)])
    (tmp_path / "out.gpkg").write_text("the outlines of yesterday")
    before = sorted(tmp_path.iterdir())
    job = PostprocessJob(
        str(source), str(tmp_path / "out.gpkg"), report=str(tmp_path / "r.csv"), raw=str(tmp_path / "nowhere" / "raw.gpkg")
    )
    with pytest.raises(EngineError, match="nowhere") as caught:
        postprocess(job, SilentReporter())
    assert caught.value.code == "output_folder"
    assert (tmp_path / "out.gpkg").read_text() == "the outlines of yesterday"
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_geopackage_that_may_only_be_read(tmp_path: Path, journal: str) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    source = write_tiles(folder / "in.gpkg", [(SQUARE, 1, 1.0)])
    with sqlite3.connect(source) as database:
        assert database.execute(f"PRAGMA journal_mode={journal}").fetchone() == (journal,)
    database.close()
    before = source.read_bytes()
    source.chmod(0o444)
    folder.chmod(0o555)
    try:
        outlines, _, _ = run(tmp_path, source)
        assert len(outlines) == 1
        assert list(folder.iterdir()) == [source]
        assert source.read_bytes() == before
    finally:
        folder.chmod(0o755)


# Places ---------------------------------------------------------------------------------------------------------------


def degrees(left: float, bottom: float, right: float, top: float) -> shapely.Geometry:
    return shapely.box(left, bottom, right, top)


def test_an_outline_over_the_antimeridian_is_whole(tmp_path: Path) -> None:
    cut = shapely.MultiPolygon([degrees(179.99, 66, 180, 66.01), degrees(-180, 66, -179.99, 66.01)])
    beside = degrees(-179.995, 66, -179.98, 66.01)
    far = degrees(-179.5, 66.1, -179.49, 66.11)
    layer = PolygonLayer(
        np.array([cut, beside, far], dtype=object), CRS.from_epsg(4326), {"tile": np.arange(3), "coverage": np.array([2.0, 2.0, 1.0])}
    )
    write_polygons(tmp_path / "in.gpkg", layer, "tile_polygons", "Unknown")
    outlines, result, _ = run(tmp_path, tmp_path / "in.gpkg", smoothing=0.0)
    assert result["count"] == 2
    assert sorted(shapely.bounds(outlines.geometries)[:, 2] - shapely.bounds(outlines.geometries)[:, 0]) == pytest.approx([0.01, 0.03])
    assert np.abs(shapely.bounds(outlines.geometries)).max() < 180.1
    whole = geodesic_area(np.array([degrees(0, 66, 0.03, 66.01)], dtype=object), CRS.from_epsg(4326))[0] / 1e6
    assert outlines.fields["area_km2"].max() == pytest.approx(whole, rel=1e-6)


def test_an_outline_across_utm_zones_is_smoothed_in_one_piece(tmp_path: Path) -> None:
    steps = [(0, 0), (0.004, 0), (0.004, 0.001), (0.006, 0.001), (0.006, 0.003), (0.003, 0.003), (0.003, 0.004), (0, 0.004)]
    across = shapely.Polygon([(95.997 + x, 40 + y) for x, y in steps])
    write_polygons(tmp_path / "in.gpkg", PolygonLayer(np.array([across], dtype=object), CRS.from_epsg(4326)), "drawn")
    outlines, result, _ = run(tmp_path, tmp_path / "in.gpkg", require_support=False, smoothing=20.0)
    raw = geodesic_area(np.array([across], dtype=object), CRS.from_epsg(4326))[0] / 1e6
    assert (result["count"], outlines.geometries[0].is_valid) == (1, True)
    assert outlines.fields["area_km2"] == pytest.approx([raw], rel=0.01)
    assert 0 < shapely.hausdorff_distance(outlines.geometries[0], across) < 0.001


def test_maps_in_other_coordinate_systems(tmp_path: Path) -> None:
    source = write_pixels(tmp_path / "in.gpkg", tongue() >= 0.5, CRS.from_epsg(4326))
    raster, dem = write_probability(tmp_path / "p.tif", tongue()), write_probability(tmp_path / "dem.tif", slope())
    there, _, _ = run(tmp_path, source, probability=str(raster), dem=str(dem))
    same, _, _ = run(tmp_path, write_pixels(tmp_path / "utm.gpkg", tongue() >= 0.5), probability=str(raster), dem=str(dem))
    for name in ("probability_mean", "probability_sd", "area_lo_km2", "area_hi_km2"):
        assert there.fields[name] == pytest.approx(same.fields[name], rel=0.01), name
    for section in ("front", "left", "right", "upslope"):
        assert there.fields[f"reliability_{section}"].tolist() == same.fields[f"reliability_{section}"].tolist()


def test_outputs_of_every_format_hold_what_is_unknown_as_null(tmp_path: Path) -> None:
    source = write_tiles(tmp_path / "in.gpkg", [(SQUARE, 1, 1.0)])
    for ending in ("gpkg", "geojson", "fgb"):
        postprocess(PostprocessJob(str(source), str(tmp_path / f"out.{ending}")), SilentReporter())
        meta, _, _, values = pyogrio.raw.read(tmp_path / f"out.{ending}")
        row = {name: column[0] for name, column in zip(meta["fields"], values, strict=True)}
        assert row["id"] == 1
        for name in ("reliability_front", "visible_fraction", "permafrost_source", "area_lo_km2"):
            assert row[name] is None or np.isnan(row[name]), (ending, name)


def everything(folder: Path, source: Path) -> PostprocessJob:
    """A job with every map and every output."""
    raster, dem = write_probability(folder / "p.tif", tongue()), write_probability(folder / "dem.tif", slope())
    permafrost = write_permafrost(folder / "permafrost.tif", [[1]])
    outputs = {"report": "report.csv", "raw": "raw.gpkg", "restricted": "restricted.gpkg"}
    return PostprocessJob(
        str(source),
        str(folder / "outlines.gpkg"),
        probability=str(raster),
        dem=str(dem),
        permafrost=str(permafrost),
        not_assessable=str(permafrost),
        **{name: str(folder / file) for name, file in outputs.items()},
    )


def test_no_polygons_with_every_map_and_output(tmp_path: Path) -> None:
    write_polygons(tmp_path / "in.gpkg", PolygonLayer(np.array([], dtype=object), UTM), "tile_polygons")
    job = everything(tmp_path, tmp_path / "in.gpkg")
    result = postprocess(job, SilentReporter())
    assert (result["count"], result["restricted_count"], result["total_area_km2"]) == (0, 0, 0)
    assert {step["out"] for step in result["steps"]} == {0}
    for path in (job.output, job.raw, job.restricted):
        assert pyogrio.read_info(path)["features"] == 0


def test_cancelled_at_any_moment_no_output_is_there(tmp_path: Path) -> None:
    source = write_pixels(tmp_path / "in.gpkg", tongue() >= 0.5)
    job = everything(tmp_path, source)
    before = sorted(tmp_path.iterdir())
    moments = SilentReporter()
    postprocess(job, moments)
    assert np.diff(moments.fractions).min() >= 0
    for path in (job.output, job.raw, job.restricted, job.report):
        assert path is not None
        Path(path).unlink()
    for moment in range(len(moments.fractions) - 1):
        with pytest.raises(Cancelled):
            postprocess(job, SilentReporter(cancel_after=moment))
        assert sorted(tmp_path.iterdir()) == before


def test_an_output_folder_that_may_not_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the administrator may write everywhere")
    source = write_tiles(tmp_path / "in.gpkg", [(SQUARE, 1, 1.0)])
    folder = tmp_path / "archive"
    folder.mkdir(mode=0o555)
    with pytest.raises(EngineError) as caught:
        postprocess(PostprocessJob(str(source), str(folder / "out.gpkg")), SilentReporter())
    assert caught.value.code == "output_folder"


@pytest.mark.parametrize(
    "wkt",
    ["POLYGON ((0 0, 400 400, 400 0, 0 400, 0 0))", "POLYGON ((0 0, 300 0, 300 300, 400 300, 300 300, 0 300, 0 0))"],
    ids=["bow tie", "spike"],
)
def test_crossing_polygons_come_out_valid_and_counted(tmp_path: Path, wkt: str) -> None:
    source = write_tiles(tmp_path / "in.gpkg", [(wkt, 1, 1.0)])
    outlines, result, _ = run(tmp_path, source, unite=False)
    assert result["steps"][0]["touched"] == 1
    assert shapely.is_valid(outlines.geometries).all()
