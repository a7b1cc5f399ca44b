"""Tile polygons in, outlines out: every rule of the six steps on polygons drawn by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS, Transformer

from engine.errors import Cancelled, EngineError
from engine.geodesy import geodesic_area, geodesic_perimeter
from engine.postprocess import postprocess
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, read_polygons, write_polygons
from jobs import PostprocessJob

UTM = CRS.from_epsg(32647)
EAST, NORTH = 500_000.0, 4_000_000.0
SQUARE = "POLYGON ((0 0, 200 0, 200 200, 0 200, 0 0))"  # 0.04 km2, well above the smallest area

Row = tuple[str, int, float]
"""Polygon in metres from a place in UTM zone 47, tile, coverage."""


def on_map(wkt: str) -> shapely.Geometry:
    return shapely.transform(shapely.from_wkt(wkt), lambda places: places + [EAST, NORTH])


def box(left: float, bottom: float, right: float, top: float) -> str:
    return shapely.box(left, bottom, right, top).wkt


def write_tiles(path: Path, rows: Sequence[Row], **more: Sequence[float]) -> Path:
    geometries = np.array([on_map(wkt) for wkt, _, _ in rows], dtype=object)
    fields: dict[str, Any] = {
        "tile": np.array([tile for _, tile, _ in rows], dtype=np.int64),
        "coverage": np.array([coverage for _, _, coverage in rows], dtype=float),
    }
    fields |= {name: np.array(values, dtype=float) for name, values in more.items()}
    write_polygons(path, PolygonLayer(geometries, UTM, fields), "tile_polygons", "Unknown")
    return path


def outlines_of(
    folder: Path, rows: Sequence[Row], reporter: SilentReporter | None = None, **job: Any
) -> tuple[PolygonLayer, dict[str, Any], SilentReporter]:
    """The outlines of some tile polygons, not smoothed unless asked for, the result, and what was said."""
    reporter = reporter or SilentReporter()
    source = write_tiles(folder / "tile_polygons.gpkg", rows)
    result = postprocess(PostprocessJob(str(source), str(folder / "outlines.gpkg"), **{"smoothing": 0.0, **job}), reporter)
    return read_polygons(folder / "outlines.gpkg", "outlines"), result, reporter


CASES: dict[str, tuple[list[Row], dict[str, Any], list[str]]] = {
    # Step 1
    "smaller than the smallest area": ([(box(0, 0, 148, 148), 1, 1)], {}, []),
    "just larger": ([(box(0, 0, 149, 149), 1, 1)], {}, [box(0, 0, 149, 149)]),
    "areas are true, not those of the map: 21990 m2 drawn are 22008 m2": ([(box(0, 0, 100, 219.9), 1, 1)], {}, [box(0, 0, 100, 219.9)]),
    "no smallest area": ([(box(0, 0, 4, 4), 1, 1)], {"min_area": 0.0}, [box(0, 0, 4, 4)]),
    "small pieces of one object are not added up before": (
        [(box(0, 0, 100, 200), 1, 1), (box(100, 0, 200, 200), 2, 1)], {}, []),
    "a piece cut by its tile's edge goes, the neighbours' whole stays": (
        [(box(0, 0, 100, 200), 1, 2.5), (SQUARE, 2, 2.5), (SQUARE, 3, 2.5)], {}, [SQUARE]),
    "area counts without the hole, which is filled later": (
        [("POLYGON ((0 0, 200 0, 200 200, 0 200, 0 0), (30 30, 30 170, 170 170, 170 30, 30 30))", 1, 1)], {}, []),
    # Step 2
    "hole is filled": (
        [("POLYGON ((0 0, 200 0, 200 200, 0 200, 0 0), (80 80, 80 120, 120 120, 120 80, 80 80))", 1, 1)], {}, [SQUARE]),
    "hole stays when asked": (
        [("POLYGON ((0 0, 200 0, 200 200, 0 200, 0 0), (80 80, 80 120, 120 120, 120 80, 80 80))", 1, 1)],
        {"fill_holes": False},
        ["POLYGON ((0 0, 200 0, 200 200, 0 200, 0 0), (80 80, 80 120, 120 120, 120 80, 80 80))"]),
    "island in a hole becomes part of what surrounds it": (
        [("POLYGON ((0 0, 600 0, 600 600, 0 600, 0 0), (100 100, 100 500, 500 500, 500 100, 100 100))", 1, 1),
         (box(200, 200, 400, 400), 1, 1)],
        {}, [box(0, 0, 600, 600)]),
    "island in a hole that stays": (
        [("POLYGON ((0 0, 600 0, 600 600, 0 600, 0 0), (100 100, 100 500, 500 500, 500 100, 100 100))", 1, 1),
         (box(200, 200, 400, 400), 1, 1)],
        {"fill_holes": False},
        ["POLYGON ((0 0, 600 0, 600 600, 0 600, 0 0), (100 100, 100 500, 500 500, 500 100, 100 100))", box(200, 200, 400, 400)]),
    # Step 4
    "alone where four tiles looked": ([(SQUARE, 1, 4)], {}, []),
    "alone, half of it seen twice": ([(SQUARE, 1, 1.5)], {}, []),
    "alone, less than half of it seen twice": ([(SQUARE, 1, 1.49)], {}, [SQUARE]),
    "alone at the border, where one tile looked": ([(SQUARE, 1, 1)], {}, [SQUARE]),
    "alone, support not required": ([(SQUARE, 1, 4)], {"require_support": False}, [SQUARE]),
    "confirmed by another tile": ([(SQUARE, 1, 4), (SQUARE, 2, 4)], {}, [SQUARE]),
    "confirmed by a sliver": ([(SQUARE, 1, 4), (box(199.9, 0, 400, 200), 2, 4)], {}, [box(0, 0, 400, 200)]),
    "confirmed from inside its hole, once that is filled": (
        [("POLYGON ((0 0, 600 0, 600 600, 0 600, 0 0), (100 100, 100 500, 500 500, 500 100, 100 100))", 1, 4),
         (box(200, 200, 400, 400), 2, 4)],
        {}, [box(0, 0, 600, 600)]),
    "the same tile does not confirm": ([(SQUARE, 1, 4), (box(100, 0, 300, 200), 1, 4)], {}, []),
    "a common edge does not confirm": ([(SQUARE, 1, 4), (box(200, 0, 400, 200), 2, 4)], {}, []),
    "a common corner does not confirm": ([(SQUARE, 1, 4), (box(200, 200, 400, 400), 2, 4)], {}, []),
    "a speck below the smallest area does not confirm": ([(SQUARE, 1, 4), (box(100, 100, 140, 140), 2, 4)], {}, []),
    "confirmed one beside an unconfirmed one": (
        [(SQUARE, 1, 4), (SQUARE, 2, 4), (box(1000, 0, 1200, 200), 3, 4)], {}, [SQUARE]),
    # Step 5
    "chain of three tiles": (
        [(SQUARE, 1, 2), (box(150, 0, 350, 200), 2, 2), (box(300, 0, 500, 200), 3, 2)], {}, [box(0, 0, 500, 200)]),
    "tiles without overlap meet along an edge": ([(SQUARE, 1, 1), (box(200, 50, 400, 250), 2, 1)], {},
        ["POLYGON ((0 0, 200 0, 200 50, 400 50, 400 250, 200 250, 200 200, 0 200, 0 0))"]),
    "the edge computed with another rounding": (
        [(SQUARE, 1, 1), (box(200.000000004, 0, 400, 200), 2, 1)], {}, [box(0, 0, 400, 200)]),
    "a common corner keeps them apart": (
        [(box(0, 200, 200, 400), 1, 1), (box(200, 0, 400, 200), 2, 1)], {}, [box(0, 200, 200, 400), box(200, 0, 400, 200)]),
    "apart by a pixel": ([(box(0, 204, 200, 404), 1, 1), (SQUARE, 2, 1)], {}, [box(0, 204, 200, 404), SQUARE]),
    "hole that the union encloses is filled": (
        [("POLYGON ((0 0, 600 0, 600 600, 400 600, 400 200, 0 200, 0 0))", 1, 1),
         ("POLYGON ((0 0, 200 0, 200 400, 600 400, 600 600, 0 600, 0 0))", 2, 1)],
        {}, [box(0, 0, 600, 600)]),
    "hole that the union encloses stays when asked": (
        [("POLYGON ((0 0, 600 0, 600 600, 400 600, 400 200, 0 200, 0 0))", 1, 1),
         ("POLYGON ((0 0, 200 0, 200 400, 600 400, 600 600, 0 600, 0 0))", 2, 1)],
        {"fill_holes": False},
        ["POLYGON ((0 0, 600 0, 600 600, 0 600, 0 0), (200 200, 200 400, 400 400, 400 200, 200 200))"]),
    "outline in a hole that the union encloses": (
        [("POLYGON ((0 0, 900 0, 900 900, 700 900, 700 200, 0 200, 0 0))", 1, 1),
         ("POLYGON ((0 0, 200 0, 200 700, 900 700, 900 900, 0 900, 0 0))", 2, 1),
         (box(300, 300, 500, 500), 3, 1)],
        {}, [box(0, 0, 900, 900)]),
    "polygon of several parts comes apart": (
        [("MULTIPOLYGON (((0 300, 200 300, 200 500, 0 500, 0 300)), ((0 0, 200 0, 200 200, 0 200, 0 0)))", 1, 1)],
        {}, [box(0, 300, 200, 500), SQUARE]),
    "crossing polygon is repaired": (
        [("POLYGON ((0 0, 400 400, 400 0, 0 400, 0 0))", 1, 1)], {},
        ["POLYGON ((0 0, 200 200, 0 400, 0 0))", "POLYGON ((400 0, 400 400, 200 200, 400 0))"]),
    "nothing in, nothing out": ([], {}, []),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "job", "expected"), CASES.values(), ids=CASES.keys())
def test_steps(tmp_path: Path, rows: list[Row], job: dict[str, Any], expected: list[str]) -> None:
    outlines, result, _ = outlines_of(tmp_path, rows, **job)
    assert result["count"] == len(outlines) == len(expected)
    for outline, wkt in zip(outlines.geometries, expected, strict=True):
        assert outline.geom_type == "Polygon"
        assert shapely.symmetric_difference(outline, on_map(wkt)).area < 1e-3, shapely.transform(outline, lambda p: p - [EAST, NORTH]).wkt


def test_steps_are_counted_and_measured(tmp_path: Path) -> None:
    rows = [
        ("MULTIPOLYGON (((0 300, 200 300, 200 500, 0 500, 0 300)), ((0 0, 200 0, 200 200, 0 200, 0 0)))", 1, 2.0),
        ("POLYGON ((100 0, 300 0, 300 200, 100 200, 100 0), (150 50, 150 60, 160 60, 160 50, 150 50))", 2, 2.0),
        (box(1000, 0, 1010, 10), 2, 2.0),
        ("POLYGON ((2000 0, 2400 400, 2400 0, 2000 400, 2000 0))", 3, 1.0),
    ]
    _, result, reporter = outlines_of(tmp_path, rows)
    expected = [  # areas drawn, in m2
        ("polygons", 4, 6, 1, 40_000 * 3 - 100 + 100 + 80_000),
        ("min_area", 6, 5, 1, 40_000 * 3 - 100 + 80_000),
        ("fill_holes", 5, 5, 1, 40_000 * 3 + 80_000),
        ("support", 5, 4, 1, 40_000 * 2 + 80_000),
        ("union", 4, 3, 2, 60_000 + 80_000),
        ("contour", 3, 3, 0, 60_000 + 80_000),
        ("smoothing", 3, 3, 0, 60_000 + 80_000),
        ("permafrost", 3, 3, 0, 60_000 + 80_000),
    ]
    on_the_ground = geodesic_area(np.array([on_map(box(0, 0, 1000, 1000))], dtype=object), UTM)[0] / 1e6
    assert [tuple(step.values())[:4] for step in result["steps"]] == [step[:4] for step in expected]
    assert [step["area_km2"] for step in result["steps"]] == pytest.approx([step[4] / 1e6 * on_the_ground for step in expected], rel=1e-5)
    assert "min area: 6 in, 5 out, 1 touched" in reporter.infos


OFF = {"min_area": 0.0, "fill_holes": False, "require_support": False, "unite": False}


def test_with_every_step_off_the_polygons_are_the_outlines(tmp_path: Path) -> None:
    rows = [("POLYGON ((0 0, 200 0, 200 200, 0 200, 0 0), (80 80, 80 120, 120 120, 120 80, 80 80))", 1, 4), (box(0, 0, 4, 4), 2, 4)]
    outlines, result, _ = outlines_of(tmp_path, rows, **OFF)
    assert {(step["in"], step["out"], step["touched"]) for step in result["steps"]} == {(2, 2, 0)}
    drawn = sorted(outlines.geometries, key=shapely.area)
    assert [shapely.symmetric_difference(one, on_map(wkt)).area < 1e-3 for one, (wkt, _, _) in zip(drawn, rows[::-1], strict=True)]


@pytest.mark.parametrize("step", OFF)
def test_each_step_is_switched_off_by_itself(tmp_path: Path, step: str) -> None:
    rows = [
        ("POLYGON ((0 0, 200 0, 200 200, 0 200, 0 0), (80 80, 80 120, 120 120, 120 80, 80 80))", 1, 4),
        (box(10, 10, 190, 190), 2, 4),
        (box(1000, 0, 1200, 200), 3, 4),
        (box(100, 100, 104, 104), 4, 4),
    ]
    touching = {"min_area": "min_area", "fill_holes": "fill_holes", "require_support": "support", "unite": "union"}
    touched = {row["step"]: row["touched"] for row in outlines_of(tmp_path, rows)[1]["steps"]}
    without = {row["step"]: row["touched"] for row in outlines_of(tmp_path, rows, **{step: OFF[step]})[1]["steps"]}
    assert touched[touching[step]] > 0
    assert without[touching[step]] == 0


def test_without_union_the_fields_of_the_input_travel_on(tmp_path: Path) -> None:
    more = {"score": [0.25, 0.5], "id": [77, 88], "area_km2": [9.0, 9.0], "visible_fraction": [0.5, 0.5]}
    source = write_tiles(tmp_path / "in.gpkg", [(SQUARE, 7, 2.0), (box(100, 0, 300, 200), 8, 4.0)], **more)
    job = PostprocessJob(str(source), str(tmp_path / "out.gpkg"), unite=False, smoothing=0.0)
    assert postprocess(job, SilentReporter())["count"] == 2
    fields = read_polygons(tmp_path / "out.gpkg").fields
    order = np.argsort(fields["tile"])
    assert fields["score"][order].tolist() == [0.25, 0.5]
    assert fields["coverage"][order].tolist() == [2.0, 4.0]
    assert fields["votes"].tolist() == [1.0, 1.0]
    assert sorted(fields["id"]) == [1, 2]
    assert fields["area_km2"] == pytest.approx([0.04, 0.04], rel=0.01)
    assert np.isnan(fields["visible_fraction"]).all()


FIELDS = [
    "id", "area_km2", "perimeter_km", "votes", "coverage", "probability_mean", "probability_max", "probability_sd", "area_lo_km2",
    "area_hi_km2", "reliability_front", "reliability_left", "reliability_right", "reliability_upslope", "visible_fraction",
    "permafrost_fraction", "permafrost_source",
]  # fmt: skip


def test_attributes(tmp_path: Path) -> None:
    rows = [(SQUARE, 1, 2.0), (box(100, 0, 300, 200), 2, 4.0), (box(0, -1000, 300, -800), 3, 1.0)]
    source = write_tiles(tmp_path / "in.gpkg", rows, probability_mean=[0.6, 0.8, np.nan], probability_max=[0.9, 0.7, np.nan])
    result = postprocess(PostprocessJob(str(source), str(tmp_path / "out.gpkg"), smoothing=0.0), SilentReporter())
    outlines = read_polygons(tmp_path / "out.gpkg", "outlines")
    fields = outlines.fields
    assert list(fields) == FIELDS
    assert fields["id"].dtype == np.int64
    assert fields["id"].tolist() == [1, 2]
    expected = np.array([on_map(box(0, 0, 300, 200)), on_map(box(0, -1000, 300, -800))], dtype=object)
    assert fields["area_km2"] == pytest.approx(geodesic_area(expected, UTM) / 1e6, rel=1e-9)
    assert fields["perimeter_km"] == pytest.approx(geodesic_perimeter(expected, UTM) / 1e3, rel=1e-9)
    assert fields["votes"] == pytest.approx([80_000 / 60_000, 1.0])
    assert fields["coverage"] == pytest.approx([3.0, 1.0])
    assert fields["probability_mean"] == pytest.approx([0.7, np.nan], nan_ok=True)
    assert fields["probability_max"] == pytest.approx([0.9, np.nan], nan_ok=True)
    assert np.isnan(fields["permafrost_fraction"]).all()
    assert result["total_area_km2"] == pytest.approx(fields["area_km2"].sum())
    assert result["output"] == str(tmp_path / "out.gpkg")
    assert outlines.crs == UTM


def test_means_are_weighted_by_area_and_votes_leave_the_filled_hole_out(tmp_path: Path) -> None:
    rows = [
        ("POLYGON ((0 0, 600 0, 600 600, 400 600, 400 200, 0 200, 0 0))", 1, 1.0),  # 200 000 m2
        ("POLYGON ((0 0, 200 0, 200 400, 600 400, 600 600, 0 600, 0 0))", 2, 2.0),  # 200 000 m2, common 80 000 m2
        (box(0, 0, 200, 600), 3, 3.0),  # 120 000 m2, all common with the second
    ]
    outlines, _, _ = outlines_of(tmp_path, rows)
    assert outlines.fields["votes"] == pytest.approx([520 / 320])
    assert outlines.fields["coverage"] == pytest.approx([(200 * 1 + 200 * 2 + 120 * 3) / 520])


def test_missing_probabilities_and_coverage_stay_missing(tmp_path: Path) -> None:
    layer = PolygonLayer(np.array([on_map(SQUARE)], dtype=object), UTM)
    write_polygons(tmp_path / "in.gpkg", layer, "drawn")
    postprocess(PostprocessJob(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg"), require_support=False), SilentReporter())
    meta, _, _, values = pyogrio.raw.read(tmp_path / "out.gpkg")
    values = dict(zip(meta["fields"], values, strict=True))
    assert list(values) == FIELDS
    assert values["votes"].tolist() == [1.0]
    unknown = [values[name][0] for name in FIELDS[4:]]
    assert all(value is None or np.isnan(value) for value in unknown)


def test_support_needs_to_know_the_tiles(tmp_path: Path) -> None:
    write_polygons(tmp_path / "in.gpkg", PolygonLayer(np.array([on_map(SQUARE)], dtype=object), UTM), "drawn")
    with pytest.raises(EngineError, match="REQUIRE_SUPPORT") as caught:
        postprocess(PostprocessJob(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg")), SilentReporter())
    assert caught.value.code == "no_tiles"
    assert not (tmp_path / "out.gpkg").exists()


def test_without_coverage_nobody_is_dropped_for_want_of_support(tmp_path: Path) -> None:
    layer = PolygonLayer(np.array([on_map(SQUARE)], dtype=object), UTM, {"tile": np.array([7])})
    write_polygons(tmp_path / "in.gpkg", layer, "drawn")
    reporter = SilentReporter()
    result = postprocess(PostprocessJob(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg")), reporter)
    assert result["count"] == 1
    assert [code for code, _ in reporter.warnings] == ["no_coverage"]


def test_objects_spared_at_the_border_are_mentioned(tmp_path: Path) -> None:
    _, _, reporter = outlines_of(tmp_path, [(SQUARE, 1, 1.0)])
    assert any("1 polygons without support were kept" in text for text in reporter.infos)


def test_repairs_are_mentioned(tmp_path: Path) -> None:
    _, _, reporter = outlines_of(tmp_path, [("POLYGON ((0 0, 400 400, 400 0, 0 400, 0 0))", 1, 1.0)])
    assert any("1 invalid" in text for text in reporter.infos)


def test_empty_layer_without_fields_gives_an_empty_layer_with_fields(tmp_path: Path) -> None:
    write_polygons(tmp_path / "in.gpkg", PolygonLayer(np.array([], dtype=object), UTM), "tile_polygons")
    result = postprocess(PostprocessJob(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg")), SilentReporter())
    assert (result["count"], result["total_area_km2"]) == (0, 0)
    information = pyogrio.read_info(tmp_path / "out.gpkg", layer="outlines")
    assert information["features"] == 0
    assert information["geometry_type"] == "Polygon"
    assert "permafrost_fraction" in information["fields"]
    assert CRS.from_user_input(information["crs"]) == UTM


def test_outlines_run_from_north_to_south_whatever_the_order_of_the_input(tmp_path: Path) -> None:
    rows = [(box(500, y, 700, y + 200), number, 1.0) for number, y in enumerate([600, 0, 1200, 300])]
    there, _, _ = outlines_of(tmp_path, rows)
    back, _, _ = outlines_of(tmp_path, rows[::-1])
    assert np.diff(shapely.bounds(there.geometries)[:, 1]).max() < 0
    assert shapely.equals(there.geometries, back.geometries).all()


def test_layer_in_degrees(tmp_path: Path) -> None:
    to_degrees = Transformer.from_crs(UTM, 4326, always_xy=True).transform
    overlapping = np.array([on_map(SQUARE), on_map(box(100, 0, 300, 200)), on_map(box(900, 0, 1048, 148))], dtype=object)
    degrees = shapely.transform(overlapping, to_degrees, interleaved=False)
    fields = {"tile": np.array([1, 2, 3]), "coverage": np.array([2.0, 2.0, 1.0])}
    write_polygons(tmp_path / "in.geojson", PolygonLayer(degrees, CRS.from_epsg(4326), fields), "tile_polygons")
    job = PostprocessJob(str(tmp_path / "in.geojson"), str(tmp_path / "out.geojson"), smoothing=0.0)
    result = postprocess(job, SilentReporter())
    assert result["count"] == 1
    expected = geodesic_area(np.array([on_map(box(0, 0, 300, 200))], dtype=object), UTM)[0] / 1e6
    assert result["total_area_km2"] == pytest.approx(expected, rel=1e-4)  # GeoJSON keeps seven decimals
    assert read_polygons(tmp_path / "out.geojson").crs.to_epsg() == 4326


def test_rounding_does_not_break_a_polygon_of_hairs(tmp_path: Path) -> None:
    hair = "POLYGON ((0 0, 200 0, 200 200, 100.00002 200, 100.00001 100, 100 200, 0 200, 0 0))"
    outlines, _, _ = outlines_of(tmp_path, [(hair, 1, 1.0)])
    assert (len(outlines), outlines.repaired) == (1, 0)


@pytest.mark.parametrize(
    ("job", "code"),
    [
        ({"permafrost": "nowhere.tif"}, "file_missing"),
        ({"output": "outlines.xyz"}, "output_format"),
        ({"input": "nowhere.gpkg"}, "file_missing"),
        ({"input_layer": "another"}, "not_a_vector"),
    ],
)
def test_bad_input_leaves_an_existing_output_alone(tmp_path: Path, job: dict[str, Any], code: str) -> None:
    source = write_tiles(tmp_path / "in.gpkg", [(SQUARE, 1, 1.0)])
    (tmp_path / "out.gpkg").write_text("the outlines of yesterday")
    with pytest.raises(EngineError) as caught:
        postprocess(PostprocessJob(**{"input": str(source), "output": str(tmp_path / "out.gpkg"), **job}), SilentReporter())
    assert caught.value.code == code
    assert (tmp_path / "out.gpkg").read_text() == "the outlines of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.gpkg", "out.gpkg"]


def test_cancelled_at_any_moment_nothing_is_written(tmp_path: Path) -> None:
    rows = [(SQUARE, 1, 2.0), (box(100, 0, 300, 200), 2, 2.0)]
    source = write_tiles(tmp_path / "in.gpkg", rows)
    permafrost = write_permafrost(tmp_path / "permafrost.tif", [[1]])
    (tmp_path / "out.gpkg").write_text("the outlines of yesterday")
    job = PostprocessJob(str(source), str(tmp_path / "out.gpkg"), permafrost=str(permafrost))
    moments = SilentReporter()
    postprocess(PostprocessJob(**{**vars(job), "output": str(tmp_path / "whole.gpkg")}), moments)
    (tmp_path / "whole.gpkg").unlink()
    before = sorted(tmp_path.iterdir())
    for moment in range(len(moments.fractions) - 1):
        with pytest.raises(Cancelled):
            postprocess(job, SilentReporter(cancel_after=moment))
        assert (tmp_path / "out.gpkg").read_text() == "the outlines of yesterday"
        assert sorted(tmp_path.iterdir()) == before


def test_progress_only_grows(tmp_path: Path) -> None:
    rows = [(box(x, 0, x + 160, 160), x, 1.0) for x in range(0, 40_000, 200)]
    _, _, reporter = outlines_of(tmp_path, rows)
    assert len(reporter.fractions) > 6
    assert np.diff(reporter.fractions).min() >= 0
    assert reporter.fractions[-1] == 1


# Step 6 --------------------------------------------------------------------------------------------------------------


def write_permafrost(path: Path, cells: Any) -> Path:
    """Cells of 100 m from the place's upper left corner at (0, 200); 9 is nodata."""
    values = np.array(cells, dtype=np.uint8)
    profile = {"driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": "uint8", "nodata": 9}
    with rasterio.open(path, "w", crs="EPSG:32647", transform=Affine(100, 0, EAST, 0, -100, NORTH + 200), **profile) as dataset:
        dataset.write(values, 1)
    return path


WEST_HALF_FROZEN = [[1, 1, 1, 0, 0, 0, 9], [1, 1, 1, 0, 0, 0, 9]]
FROZEN, HALF, THAWED, UNKNOWN = box(0, 0, 200, 200), box(210, 0, 390, 200), box(420, 0, 600, 200), box(620, 0, 820, 200)


@pytest.mark.parametrize(
    ("action", "least", "outside", "kept"),
    [
        ("flag", 0.5, 1, [1.0, 0.5, 0.0, np.nan]),
        ("flag", 0.0, 0, [1.0, 0.5, 0.0, np.nan]),
        ("drop", 0.5, 1, [1.0, 0.5, np.nan]),
        ("drop", 0.6, 2, [1.0, np.nan]),
        ("drop", 0.0, 0, [1.0, 0.5, 0.0, np.nan]),
    ],
)
def test_permafrost_flags_or_drops_and_never_drops_the_unknown(
    tmp_path: Path, action: str, least: float, outside: int, kept: list[float]
) -> None:
    permafrost = write_permafrost(tmp_path / "permafrost.tif", WEST_HALF_FROZEN)
    rows = [(wkt, tile, 1.0) for tile, wkt in enumerate([FROZEN, HALF, THAWED, UNKNOWN])]
    outlines, result, reporter = outlines_of(
        tmp_path, rows, permafrost=str(permafrost), permafrost_action=action, permafrost_min_fraction=least, permafrost_buffer=0.0
    )
    from_west = np.argsort(shapely.bounds(outlines.geometries)[:, 0])
    assert outlines.fields["permafrost_fraction"][from_west] == pytest.approx(kept, abs=1e-6, nan_ok=True)
    last = result["steps"][-1]
    assert (last["step"], last["in"], last["out"], last["touched"]) == ("permafrost", 4, len(kept), outside)
    assert last["area_km2"] == pytest.approx(outlines.fields["area_km2"].sum())
    assert outlines.fields["id"].tolist() == list(range(1, len(kept) + 1))
    said = [text for text in reporter.infos if "elict" in text]
    assert [text[:6] for text in said] == ([f"{outside} of 4"] if outside else [])
    assert any("Nothing is known about permafrost under 1" in text for text in reporter.infos)


def test_permafrost_map_of_another_place(tmp_path: Path) -> None:
    permafrost = write_permafrost(tmp_path / "permafrost.tif", [[1]])
    outlines, _, reporter = outlines_of(tmp_path, [(box(5000, 0, 5200, 200), 1, 1.0)], permafrost=str(permafrost), permafrost_action="drop")
    assert np.isnan(outlines.fields["permafrost_fraction"]).all()
    assert [code for code, _ in reporter.warnings] == ["permafrost_no_overlap"]


def test_permafrost_polygons(tmp_path: Path) -> None:
    zones = PolygonLayer(np.array([on_map(box(-1000, -1000, 100, 1000)), on_map(box(0, 0, 50, 200))], dtype=object), UTM)
    write_polygons(tmp_path / "zones.gpkg", zones, "zones")
    outlines, _, _ = outlines_of(tmp_path, [(SQUARE, 1, 1.0)], permafrost=str(tmp_path / "zones.gpkg"))
    assert outlines.fields["permafrost_fraction"] == pytest.approx([1.0])


def test_permafrost_classes_that_say_nothing(tmp_path: Path) -> None:
    permafrost = write_permafrost(tmp_path / "permafrost.tif", [[1]])
    with pytest.raises(EngineError) as caught:
        outlines_of(tmp_path, [(SQUARE, 1, 1.0)], permafrost=str(permafrost), permafrost_classes=">=half")
    assert caught.value.code == "map_classes"
