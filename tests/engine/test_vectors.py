"""Polygon layers: read, repaired, written whole."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from pyproj import CRS

from engine.errors import EngineError
from engine.vectors import DRIVERS, PolygonLayer, read_polygons, write_polygons, write_table

UTM = CRS(32645)
SQUARE = shapely.box(500000, 3000000, 500100, 3000100)
BOW_TIE = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])


def layer_of(*geometries: shapely.Geometry, **fields: Any) -> PolygonLayer:
    return PolygonLayer(np.array(geometries, object), UTM, {name: np.array(values) for name, values in fields.items()})


def write_any(path: Path, geometries: list[shapely.Geometry | None], geometry_type: str, crs: str | None = "EPSG:32645") -> Path:
    pyogrio.raw.write(path, shapely.to_wkb(np.array(geometries, object)), [], [], geometry_type=geometry_type, crs=crs, driver="GPKG")
    return path


def write_wkb(path: Path, wkb: bytes, declared: str) -> Path:
    """A GeoPackage with one geometry that shapely cannot hold, in a layer declared as of some type."""
    pyogrio.raw.write(path, np.array([wkb], object), [], [], geometry_type="Unknown", crs="EPSG:32645", driver="GPKG")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = ?", (declared,))
    database.close()
    return path


@pytest.mark.parametrize("suffix", DRIVERS)
def test_what_was_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"outlines{suffix}"
    write_polygons(path, layer_of(SQUARE, id=[7], area_km2=[0.01]), "outlines")
    layer = read_polygons(path).in_crs(UTM)
    assert shapely.equals_exact(layer.geometries[0].normalize(), SQUARE.normalize(), tolerance=0.01)
    assert (layer.fields["id"].tolist(), layer.fields["area_km2"].tolist()) == ([7], [0.01])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", DRIVERS)
def test_no_polygons_are_a_layer_too(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"outlines{suffix}"
    write_polygons(path, PolygonLayer(np.array([], object), UTM, {"id": np.array([], np.int64)}), "outlines")
    assert len(read_polygons(path)) == 0


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=".gpkg") as raised:
        write_polygons(tmp_path / "outlines.shp", layer_of(SQUARE), "outlines")
    assert raised.value.code == "output_format"


class TestReading:
    def code(self, path: Path) -> str:
        with pytest.raises(EngineError) as raised:
            read_polygons(path)
        assert str(path) in raised.value.text
        return raised.value.code

    def test_no_file(self, tmp_path: Path) -> None:
        assert self.code(tmp_path / "none.gpkg") == "file_missing"

    def test_no_vector(self, tmp_path: Path) -> None:
        (tmp_path / "a.gpkg").write_text("no database")
        assert self.code(tmp_path / "a.gpkg") == "not_a_vector"

    def test_no_crs(self, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="crs"):
            write_any(tmp_path / "a.gpkg", [SQUARE], "Polygon", crs=None)
        assert self.code(tmp_path / "a.gpkg") == "no_crs"

    def test_points(self, tmp_path: Path) -> None:
        assert self.code(write_any(tmp_path / "a.gpkg", [shapely.Point(0, 0)], "Point")) == "not_polygons"

    def test_a_table(self, tmp_path: Path) -> None:
        (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
        (tmp_path / "a.csv").write_text("id,name\n1,a\n")
        assert self.code(tmp_path / "a.csv") == "not_polygons"

    def test_a_bow_tie_is_repaired_and_counted(self, tmp_path: Path) -> None:
        layer = read_polygons(write_any(tmp_path / "a.gpkg", [BOW_TIE, SQUARE], "Polygon"))
        assert (len(layer), layer.repaired, layer.dropped) == (2, 1, 0)
        assert layer.geometries[0].is_valid
        assert layer.geometries[0].area == pytest.approx(50)

    def test_missing_empty_and_flat_polygons_are_dropped_and_counted(self, tmp_path: Path) -> None:
        flat = shapely.Polygon([(0, 0), (10, 0), (5, 0)])
        layer = read_polygons(write_any(tmp_path / "a.gpkg", [None, shapely.Polygon(), flat, SQUARE], "Polygon"))
        assert (len(layer), layer.dropped) == (1, 3)

    def test_heights_are_left_out(self, tmp_path: Path) -> None:
        layer = read_polygons(write_any(tmp_path / "a.gpkg", [shapely.force_3d(SQUARE, 4500.0)], "Polygon Z"))
        assert not shapely.has_z(layer.geometries).any()

    @pytest.mark.filterwarnings("ignore:Measured")
    def test_measures_are_left_out(self, tmp_path: Path) -> None:
        ring = [(0.0, 0.0, 5.0, 1.0), (10.0, 0.0, 5.0, 2.0), (10.0, 10.0, 5.0, 3.0), (0.0, 10.0, 5.0, 4.0), (0.0, 0.0, 5.0, 1.0)]
        polygon = struct.pack("<BIII", 1, 3003, 1, len(ring)) + b"".join(struct.pack("<dddd", *place) for place in ring)
        layer = read_polygons(write_wkb(tmp_path / "a.gpkg", polygon, "POLYGON"))
        assert shapely.get_coordinates(layer.geometries).tolist() == [list(place[:2]) for place in ring]
        assert not (shapely.has_z(layer.geometries) | shapely.has_m(layer.geometries)).any()

    @pytest.mark.parametrize("declared", ["GEOMETRY", "CURVEPOLYGON", "MULTISURFACE"])
    def test_curves_become_many_short_edges(self, tmp_path: Path, declared: str) -> None:
        """A circle of 100 m, drawn as four arcs."""
        places = [(500_000 + x, 3_000_000 + y) for x, y in ((-100, 0), (0, 100), (100, 0), (0, -100), (-100, 0))]
        arcs = struct.pack("<BII", 1, 8, len(places)) + b"".join(struct.pack("<dd", *place) for place in places)
        circle = struct.pack("<BII", 1, 10, 1) + arcs
        surface = struct.pack("<BII", 1, 12, 1) + circle if declared == "MULTISURFACE" else circle
        layer = read_polygons(write_wkb(tmp_path / "a.gpkg", surface, declared))
        assert (len(layer), layer.repaired, layer.dropped) == (1, 0, 0)
        assert layer.geometries[0].area == pytest.approx(np.pi * 100**2, rel=1e-3)
        assert shapely.distance(layer.geometries[0].boundary, shapely.Point(500_000, 3_000_000)) == pytest.approx(100, abs=0.1)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    resource = pytest.importorskip("resource", reason="this system has no limit on file sizes")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", DRIVERS)
@pytest.mark.parametrize("missing", [1, 100, 5_000, 30_000, 60_000])
def test_a_driver_that_overlooks_a_full_disk_is_found_out(tmp_path: Path, suffix: str, missing: int) -> None:
    path = tmp_path / f"outlines{suffix}"
    centres = np.random.default_rng(0).uniform(500_000, 600_000, (300, 2))
    layer = layer_of(*shapely.buffer(shapely.points(centres), 100))
    write_polygons(path, layer, "outlines")
    whole = path.read_bytes()
    with pytest.raises(EngineError) as raised, files_no_larger_than(len(whole) - missing):
        write_polygons(path, layer, "outlines")
    assert raised.value.code == "disk_full"
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ["csv", "gpkg"])
def test_a_table_is_read_as_it_was_written(tmp_path: Path, ending: str) -> None:
    fields = {"step": np.array(["min_area", "union, all"], dtype=object), "in": np.array([3, 2]), "area": np.array([1.5, np.nan])}
    write_table(tmp_path / f"report.{ending}", fields, "report")
    meta, _, geometry, values = pyogrio.raw.read(tmp_path / f"report.{ending}")
    assert list(meta["fields"]) == ["step", "in", "area"]
    assert geometry is None
    assert values[0].tolist() == ["min_area", "union, all"]
    assert [float(value) for value in values[1]] == [3, 2]
    assert float(values[2][0]) == 1.5
    assert values[2][1] in (None, "") or np.isnan(values[2][1])


@pytest.mark.parametrize("ending", ["csv", "gpkg"])
def test_values_that_are_masked_are_null(tmp_path: Path, ending: str) -> None:
    labels = np.ma.masked_array(np.array([1, 0, 7], np.int32), [False, False, True])
    places = np.array([shapely.Point(place) for place in ((1, 2), (3, 4), (5, 6))])
    write_table(tmp_path / f"table.{ending}", {"label": labels, "share": np.array([0.5, np.nan, 1])}, "table")
    write_polygons(tmp_path / "points.gpkg", PolygonLayer(places, CRS(32645), {"label": labels}), "points", "Point")
    for file in (f"table.{ending}", "points.gpkg"):
        meta, _, _, values = pyogrio.raw.read(tmp_path / file)
        columns = dict(zip(meta["fields"], values, strict=True))
        numbers = {name: np.array([float(value or "nan") if value == "" else value for value in columns[name]], float) for name in columns}
        assert np.array_equal(numbers["label"], [1, 0, np.nan], equal_nan=True)
        assert "share" not in numbers or np.array_equal(numbers["share"], [0.5, np.nan, 1], equal_nan=True)


def test_a_table_is_no_text_file(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="csv"):
        write_table(tmp_path / "report.txt", {"a": np.array([1])}, "report")
