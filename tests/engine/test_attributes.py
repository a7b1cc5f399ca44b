"""Attributes of outlines on slopes that were made to have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer

from engine.attributes import FurtherRaster, attributes
from engine.errors import Cancelled, EngineError
from engine.geodesy import geodesic_area, geodesic_perimeter
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, write_polygons
from jobs import AttributesJob

UTM = CRS.from_epsg(32645)
EAST, NORTH = 600_000.0, 3_100_000.0
SLOPE = np.degrees(np.arctan(0.3))


def to_south(x: Any, y: Any) -> Any:
    """Falls 0.3 m a metre to the south of the map, 5000 m at the origin."""
    return 5000 + 0.3 * (y - NORTH) + 0 * x


def write_raster(path: Path, values: Any, transform: Affine, crs: str = "EPSG:32645", units: str | None = None, **profile: Any) -> str:
    values = np.asarray(values)
    size = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **size, **profile) as dataset:
        dataset.write(values, 1)
        if units:
            dataset.units = (units,)
    return str(path)


def write_dem(path: Path, height: Any = to_south, cell: float = 10.0, half: int = 150, crs: str = "EPSG:32645", **profile: Any) -> str:
    """Elevation as a function of x and y in UTM 45 N, on a grid of any CRS around the origin; unknown beyond its ``half`` cells."""
    x, y = Transformer.from_crs(UTM, crs, always_xy=True).transform(EAST, NORTH)
    transform = Affine(cell, 0, x - half * cell, 0, -cell, y + half * cell)
    columns, rows = np.meshgrid(np.arange(2 * half) + 0.5, np.arange(2 * half) + 0.5)
    values = height(*Transformer.from_crs(crs, UTM, always_xy=True).transform(*(transform @ (columns, rows))))
    return write_raster(path, values.astype(np.float32), transform, crs, **profile)


def ellipse(width: float, height: float, x: float = 0.0, y: float = 0.0) -> shapely.Polygon:
    return shapely.affinity.scale(shapely.Point(EAST + x, NORTH + y).buffer(0.5, quad_segs=32), width, height)


@pytest.fixture
def run(tmp_path):
    """The attributes of outlines: fields by name, and what was said."""

    def run_attributes(
        outlines: list[Any], crs: CRS = UTM, fields: dict[str, Any] | None = None, reporter: SilentReporter | None = None, **parameters: Any
    ) -> tuple[dict[str, Any], SilentReporter, dict[str, Any]]:
        geometries = np.array(outlines, dtype=object)
        several = any(outline.geom_type == "MultiPolygon" for outline in outlines)
        layer = PolygonLayer(geometries, crs, {name: np.array(values) for name, values in (fields or {}).items()})
        write_polygons(tmp_path / "outlines.gpkg", layer, "outlines", "MultiPolygon" if several else "Polygon")
        reporter = reporter or SilentReporter()
        job = AttributesJob(str(tmp_path / "outlines.gpkg"), str(tmp_path / "attributes.gpkg"), **{"solar_months": "", **parameters})
        result = attributes(job, reporter)
        meta, _, _, values = pyogrio.raw.read(tmp_path / "attributes.gpkg")
        return dict(zip(meta["fields"], values, strict=True)), reporter, result

    return run_attributes


class TestTerrain:
    def test_a_tongue_on_a_plane(self, run, tmp_path):
        tongue = ellipse(200, 800)
        found, _, result = run([tongue], dem=write_dem(tmp_path / "dem.tif"), dem_source="made by hand")
        area = geodesic_area(np.array([tongue]), UTM)[0]
        assert found["area_km2"][0] == pytest.approx(area / 1e6)
        assert found["perimeter_km"][0] == pytest.approx(geodesic_perimeter(np.array([tongue]), UTM)[0] / 1e3)
        assert found["elevation_mean"][0] == pytest.approx(5000, abs=0.01) == found["elevation_median"][0]
        # cell centres within the outline
        assert found["elevation_min"][0] == pytest.approx(5000 - 0.3 * 400, abs=3.1)
        assert found["elevation_max"][0] == pytest.approx(5000 + 0.3 * 400, abs=3.1)
        assert found["slope_mean"][0] == pytest.approx(SLOPE, abs=1e-3) == found["slope_median"][0]
        assert found["aspect_resultant"][0] == pytest.approx(1)
        assert found["aspect_sector"][0] == "S"
        assert found["length_m"][0] == pytest.approx(800, rel=0.015)
        assert found["width_m"][0] == pytest.approx(area / found["length_m"][0])
        assert found["elongation"][0] == pytest.approx(100 * found["width_m"][0] / found["length_m"][0])
        assert found["morphology"][0] == "tongue" and found["dem_source"][0] == "made by hand"
        assert result["count"] == result["with_terrain"] == 1

    def test_the_aspect_counts_from_true_north(self, run, tmp_path):
        # at 88 E the north of UTM 45 (87 E) lies east of true north
        found, _, _ = run([ellipse(300, 300)], dem=write_dem(tmp_path / "dem.tif"))
        to_degrees = Transformer.from_crs(UTM, 4326, always_xy=True)
        start, end = to_degrees.transform(EAST, NORTH), to_degrees.transform(EAST, NORTH - 1000)
        azimuth = Geod(ellps="WGS84").inv(*start, *end)[0] % 360
        assert found["aspect"][0] == pytest.approx(azimuth, abs=0.02) and abs(azimuth - 180) > 0.3

    def test_a_lobe(self, run, tmp_path):
        found, _, _ = run([ellipse(800, 200)], dem=write_dem(tmp_path / "dem.tif"))
        assert found["length_m"][0] == pytest.approx(200, rel=0.05)
        assert found["morphology"][0] == "lobate" and found["elongation"][0] > 250

    @pytest.mark.parametrize(("direction", "sector"), [(0, "N"), (44, "NE"), (91, "E"), (136, "SE"), (268, "W"), (315, "NW"), (350, "N")])
    def test_sectors(self, run, tmp_path, direction, sector):
        angle = np.radians(direction)
        dem = write_dem(tmp_path / "dem.tif", lambda x, y: 5000 - 0.2 * (np.sin(angle) * (x - EAST) + np.cos(angle) * (y - NORTH)))
        assert run([ellipse(200, 200)], dem=dem)[0]["aspect_sector"].tolist() == [sector]

    def test_slopes_across_north_do_not_cancel_out(self, run, tmp_path):
        # two halves that face 20 degrees west and east of north
        dem = write_dem(tmp_path / "dem.tif", lambda x, y: 5000 - 0.3 * (y - NORTH) - 0.3 * np.tan(np.radians(20)) * abs(x - EAST))
        found, _, _ = run([ellipse(400, 400)], dem=dem)
        assert (found["aspect"][0] + 180) % 360 == pytest.approx(180, abs=1)
        assert found["aspect_resultant"][0] == pytest.approx(np.cos(np.radians(20)), abs=0.01)

    def test_flat_ground_has_no_aspect_and_no_length(self, run, tmp_path):
        found, _, _ = run([ellipse(300, 300)], dem=write_dem(tmp_path / "dem.tif", lambda x, y: 5000 + 0 * x))
        assert found["slope_mean"][0] == 0 and found["elevation_mean"][0] == pytest.approx(5000)
        assert np.isnan([found[name][0] for name in ("aspect", "aspect_resultant", "length_m", "width_m", "elongation")]).all()
        assert found["aspect_sector"][0] is None and found["morphology"][0] is None

    @pytest.mark.parametrize(
        ("cell", "crs"), [(1 / 3600, "EPSG:4326"), (35, "EPSG:3857"), (100, "EPSG:6455")], ids=["degrees", "web", "feet"]
    )
    def test_models_that_do_not_measure_in_metres(self, run, tmp_path, cell, crs):
        outline, layer_crs, height = ellipse(200, 600), UTM, to_south
        if crs == "EPSG:6455":  # Illinois East in feet; the same slope, in UTM 16
            layer_crs = CRS.from_epsg(32616)
            outline = shapely.affinity.translate(ellipse(200, 600), 440_000 - EAST, 4_500_000 - NORTH)
            x, y = Transformer.from_crs(layer_crs, crs, always_xy=True).transform(440_000, 4_500_000)
            transform = Affine(cell, 0, x - 60 * cell, 0, -cell, y + 60 * cell)
            columns, rows = np.meshgrid(np.arange(120) + 0.5, np.arange(120) + 0.5)
            _, north = Transformer.from_crs(crs, layer_crs, always_xy=True).transform(*(transform @ (columns, rows)))
            dem = write_raster(tmp_path / "dem.tif", (5000 + 0.3 * (north - 4_500_000)).astype(np.float32), transform, crs)
        else:
            dem = write_dem(tmp_path / "dem.tif", height, cell=cell, half=60, crs=crs)
        found, _, _ = run([outline], layer_crs, dem=dem)
        assert found["elevation_mean"][0] == pytest.approx(5000, abs=1)
        assert found["slope_mean"][0] == pytest.approx(SLOPE, abs=0.1)
        assert found["length_m"][0] == pytest.approx(600, rel=0.02)

    def test_fine_models_are_averaged(self, run, tmp_path):
        # boulders of 2 m: their slopes are not the rock glacier's
        dem = write_dem(tmp_path / "dem.tif", lambda x, y: to_south(x, y) + (np.floor(x / 2) % 2) * 2, cell=2.0, half=300)
        assert run([ellipse(200, 400)], dem=dem)[0]["slope_mean"][0] == pytest.approx(SLOPE, abs=0.3)

    def test_outlines_smaller_than_a_cell(self, run, tmp_path):
        found, _, _ = run([ellipse(60, 60, 20, 30)], dem=write_dem(tmp_path / "dem.tif", cell=100, half=15))
        assert found["elevation_mean"][0] == pytest.approx(to_south(0, NORTH + 30), abs=15)
        assert found["slope_mean"][0] == pytest.approx(SLOPE, abs=1e-3)

    def test_a_model_that_covers_a_part(self, run, tmp_path):
        outlines = [ellipse(200, 200), ellipse(200, 200, 1500), ellipse(200, 200, 1450), ellipse(200, 200, 9000)]
        found, reporter, result = run(outlines, dem=write_dem(tmp_path / "dem.tif"), solar_months="6-6")
        known = [True, False, False, False]
        for name in ("elevation_min", "slope_mean", "aspect", "length_m", "width_m", "solar_kwh_m2"):
            assert np.isfinite(found[name]).tolist() == known, name
        assert [value is not None for value in found["dem_source"]] == known == [value is not None for value in found["solar_period"]]
        assert np.isfinite(found["area_km2"]).all() and result["with_terrain"] == 1
        assert [code for code, text in reporter.warnings] == ["dem_partial"] and "3 of 4" in reporter.warnings[0][1]

    def test_a_few_unknown_cells_do_no_harm(self, run, tmp_path):
        dem = write_dem(
            tmp_path / "dem.tif", lambda x, y: np.where(np.hypot(x - EAST, y - NORTH) < 15, -9999, to_south(x, y)), nodata=-9999
        )
        assert run([ellipse(200, 400)], dem=dem)[0]["slope_mean"][0] == pytest.approx(SLOPE, abs=0.01)

    def test_radiation_where_the_slope_faces(self, run, tmp_path):
        north = write_dem(tmp_path / "north.tif", lambda x, y: 5000 - 0.3 * (y - NORTH))
        sunny = run([ellipse(200, 200)], dem=write_dem(tmp_path / "dem.tif"), solar_months="11-2")[0]
        shady = run([ellipse(200, 200)], dem=north, solar_months="11-2")[0]
        assert sunny["solar_kwh_m2"][0] > 1.4 * shady["solar_kwh_m2"][0] > 100
        assert sunny["solar_period"].tolist() == ["11-2"]

    def test_elevations_in_feet_are_told_of(self, run, tmp_path):
        _, reporter, _ = run([ellipse(200, 200)], dem=write_dem(tmp_path / "dem.tif", cell=30, half=40))
        assert not reporter.warnings
        with rasterio.open(tmp_path / "dem.tif", "r+") as dataset:
            dataset.units = ("ft",)
        _, reporter, _ = run([ellipse(200, 200)], dem=str(tmp_path / "dem.tif"))
        assert [code for code, _ in reporter.warnings] == ["dem_feet"]

    def test_zones_apart_and_the_antimeridian(self, run, tmp_path):
        # a model in UTM 60 that reaches beyond 180 E, falling to the west; an outline on either side and one across
        x, y = Transformer.from_crs(4326, 32660, always_xy=True).transform(180, 10)
        columns = np.tile(np.arange(800.0), (200, 1))
        dem = write_raster(
            tmp_path / "dem.tif", (1000 + 6 * (columns - 400)).astype(np.float32), Affine(30, 0, x - 12_000, 0, -30, y + 3000), "EPSG:32660"
        )
        across = shapely.MultiPolygon([shapely.box(179.995, 10.0, 180, 10.005), shapely.box(-180, 10.0, -179.995, 10.005)])
        outlines = [shapely.box(179.95, 10.0, 179.955, 10.005), across, shapely.box(-179.955, 10.0, -179.95, 10.005)]
        found, _, _ = run(outlines, CRS.from_epsg(4326), dem=dem)
        metres = 0.0475 * 111_320 * np.cos(np.radians(10))
        assert found["elevation_mean"] == pytest.approx([1000 - 0.2 * metres, 1000, 1000 + 0.2 * metres], abs=6)
        assert found["aspect_sector"].tolist() == ["W"] * 3
        assert (np.abs(found["longitude"]) <= 180).all() and found["length_m"] == pytest.approx([550, 1100, 550], rel=0.03)

    def test_many_squares(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr("engine.attributes.TILE", 32)
        monkeypatch.setattr("engine.attributes.OUTLINES_AT_ONCE", 2)
        middles = [(x, y) for x in (-1000, -400, 0, 700) for y in (-900, 100, 800)]
        outlines = [ellipse(150, 300, *middle) for middle in middles]
        found, reporter, _ = run(outlines, dem=write_dem(tmp_path / "dem.tif"), solar_months="7-7")
        assert found["elevation_mean"] == pytest.approx([to_south(0, NORTH + y) for _, y in middles], abs=0.05)
        assert found["solar_kwh_m2"] == pytest.approx(found["solar_kwh_m2"][0], rel=0.01)
        assert reporter.fractions == sorted(reporter.fractions)

    def test_parts_and_holes(self, run, tmp_path):
        holed = shapely.difference(ellipse(400, 400), ellipse(100, 100))
        parts = shapely.MultiPolygon([holed, ellipse(100, 100, 500)])
        found, _, _ = run([parts, ellipse(100, 100, -500)], dem=write_dem(tmp_path / "dem.tif"))
        assert found["area_km2"][0] == pytest.approx(geodesic_area(np.array([parts]), UTM)[0] / 1e6)
        assert np.isfinite(found["length_m"]).all()


class TestFields:
    def test_those_of_the_input_travel_on_and_are_renewed(self, run):
        found, _, _ = run([ellipse(200, 200)], fields={"id": [7], "Area_km2": [99.0], "operator": ["A. Müller"], "slope_mean": [12.0]})
        assert found["id"].tolist() == [7] and found["operator"].tolist() == ["A. Müller"]
        assert "Area_km2" not in found and found["area_km2"][0] == pytest.approx(0.0314, rel=0.01)
        assert found["slope_mean"].tolist() == [12.0]  # no elevation model, nothing to renew it by

    def test_longitude_and_latitude_lie_within(self, run):
        bent = shapely.difference(ellipse(600, 600), ellipse(500, 500))
        found, _, _ = run([bent])
        x, y = Transformer.from_crs(4326, UTM, always_xy=True).transform(found["longitude"][0], found["latitude"][0])
        assert shapely.contains(bent, shapely.Point(x, y))

    def test_primary_ids_are_given_once(self, run):
        first, _, _ = run([ellipse(200, 200), ellipse(200, 200, 900)])
        assert first["primary_id"][0].startswith("RGU280") and len(set(first["primary_id"])) == 2
        moved, _, _ = run([ellipse(200, 200, 50), ellipse(200, 200, 900)], fields={"PrimaryID": [first["primary_id"][0], ""]})
        assert moved["PrimaryID"].tolist() == first["primary_id"].tolist() and "primary_id" not in moved

    def test_systems_have_ids_of_their_own(self, run):
        found, _, _ = run([ellipse(200, 200), ellipse(200, 200, 900)], fields={"type": ["RGS", "RGU"]})
        assert [entry[:3] for entry in found["primary_id"]] == ["RGS", "RGU"]

    def test_repeated_primary_ids_are_told_of(self, run):
        _, reporter, _ = run([ellipse(200, 200), ellipse(200, 200, 900)], fields={"primary_id": ["RGU280142N0880173E"] * 2})
        assert [code for code, _ in reporter.warnings] == ["repeated_primary_id"]

    def test_further_rasters(self, run, tmp_path):
        maat = write_raster(tmp_path / "maat.tif", np.array([[-3.0, -5.0]]), Affine(1000, 0, EAST - 1000, 0, -1000, NORTH + 500))
        pzi = write_raster(tmp_path / "pzi.tif", np.array([[0.2, 0.4]]), Affine(0.01, 0, 88.007, 0, -0.01, 28.027), "EPSG:4326")
        found, reporter, _ = run(
            [ellipse(200, 200), ellipse(200, 200, 400), ellipse(200, 200, 5000)],
            rasters=(f"maat={maat}|ERA5|1991-2020", f"permafrost={pzi}"),
        )
        assert found["maat"][:2] == pytest.approx([-4, -5]) and np.isnan(found["maat"][2])
        assert found["maat_source"].tolist() == ["ERA5", "ERA5", None] and found["maat_period"].tolist() == ["1991-2020"] * 2 + [None]
        assert np.isfinite(found["permafrost"][0]) and found["permafrost_source"].tolist() == [None] * 3
        assert {code for code, _ in reporter.warnings} == {"raster_partial"}

    @pytest.mark.parametrize(
        ("names", "field"), [(("slope_mean",), "slope_mean"), (("a", "A"), "A"), (("maat", "maat_source"), "maat_source")]
    )
    def test_names_that_are_taken(self, run, tmp_path, names, field):
        path = write_raster(tmp_path / "maat.tif", np.ones((2, 2)), Affine(1000, 0, EAST, 0, -1000, NORTH))
        with pytest.raises(EngineError, match=f"field {field} ") as error:
            run([ellipse(200, 200)], rasters=tuple(f"{name}={path}" for name in names))
        assert error.value.code == "raster_field"

    @pytest.mark.parametrize(
        ("entry", "expected"),
        [
            ("maat=a.tif", ("maat", "a.tif", None, None)),
            ("maat=a.tif|ERA5", ("maat", "a.tif", "ERA5", None)),
            ("maat=a=b.tif||1991-2020", ("maat", "a=b.tif", None, "1991-2020")),
        ],
    )
    def test_entries(self, entry, expected):
        raster = FurtherRaster.parse(entry)
        assert (raster.field, raster.path, raster.source, raster.period) == expected


class TestBadInput:
    def test_no_outlines(self, run, tmp_path):
        found, _, result = run([], dem=write_dem(tmp_path / "dem.tif"), solar_months="1-12")
        assert result["count"] == 0 and {"primary_id", "area_km2", "solar_kwh_m2", "morphology"} <= set(found)

    def test_crossing_itself(self, run, tmp_path):
        bow = shapely.Polygon([(EAST, NORTH), (EAST + 200, NORTH + 200), (EAST + 200, NORTH), (EAST, NORTH + 200)])
        found, reporter, _ = run([bow], dem=write_dem(tmp_path / "dem.tif"))
        assert found["elevation_mean"][0] == pytest.approx(5030, abs=1) and "1 invalid" in reporter.infos[0]

    def test_with_heights(self, run, tmp_path):
        found, _, _ = run([shapely.force_3d(ellipse(200, 200), 17.0)], dem=write_dem(tmp_path / "dem.tif"))
        assert found["elevation_mean"][0] == pytest.approx(5000, abs=0.1)

    def test_no_such_model(self, run, tmp_path):
        with pytest.raises(EngineError) as error:
            run([ellipse(200, 200)], dem=str(tmp_path / "nowhere.tif"))
        assert error.value.code == "file_missing"

    @pytest.mark.parametrize("after", [0, 2, 5])
    def test_cancelled(self, run, tmp_path, after):
        with pytest.raises(Cancelled):
            run([ellipse(200, 200)], dem=write_dem(tmp_path / "dem.tif"), reporter=SilentReporter(cancel_after=after))
        assert not (tmp_path / "attributes.gpkg").exists()


def test_sikkim(data, tmp_path):
    """Real outlines on a real elevation model: what their maps show."""
    job = AttributesJob(
        str(data / "sikkim" / "rock_glaciers_manual.geojson"),
        str(tmp_path / "out.gpkg"),
        dem=str(data / "sikkim" / "sikkim_dem_10m.tif"),
        solar_months="6-9",
    )
    attributes(job, SilentReporter())
    meta, _, _, values = pyogrio.raw.read(tmp_path / "out.gpkg")
    found = dict(zip(meta["fields"], values, strict=True))
    assert found["area_km2"] == pytest.approx(found["src_area_m2"] / 1e6, rel=0.005)
    assert ((found["elevation_min"] > 5300) & (found["elevation_max"] < 5500)).all()
    assert set(found["aspect_sector"]) <= {"N", "NE", "NW"}  # all three flow north
    assert found["length_m"][2] == pytest.approx(950, rel=0.1) and found["morphology"][2] == "tongue"
