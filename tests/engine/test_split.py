"""Outlines come apart where they should, stay whole where they should, and their pieces make up the whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from engine.cli import run_job
from engine.cuts import Ground, candidates, concavity, divide, divided, score
from engine.errors import Cancelled, EngineError
from engine.geodesy import geodesic_area
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, read_polygons, reproject, write_polygons
from jobs import SplitJob

ROOT = Path(__file__).resolve().parents[2]
UTM = CRS.from_epsg(32645)
CELL, SIDE = 10.0, 120
TRANSFORM = Affine(CELL, 0, 500_000, 0, -CELL, 3_000_000)
MIN_AREA = 10_000.0

ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] + 0.5
X, Y = COLUMNS * CELL, ROWS * CELL
"""Metres from the upper left corner, to the east and to the south."""


def place(x: float, y: float) -> tuple[float, float]:
    """Metres from the upper left corner to map units."""
    return TRANSFORM.c + x, TRANSFORM.f - y


def disc(x: float, y: float, radius: float) -> shapely.Polygon:
    return shapely.Point(place(x, y)).buffer(radius)


def box(left: float, top: float, right: float, bottom: float) -> shapely.Polygon:
    return shapely.box(*place(left, bottom), *place(right, top))


TWO_DISCS = shapely.union_all([disc(350, 600, 180), disc(850, 600, 180), box(350, 560, 850, 640)])
"""Two bodies 500 m apart, joined by a neck 80 m wide."""
ONE_DISC = disc(600, 600, 250)
TONGUE = box(520, 150, 680, 1050).buffer(40)


def bumps(*centres: tuple[float, float], width: float = 120.0) -> NDArray[np.float64]:
    """Probability that peaks at some places."""
    return np.max([np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (2 * width**2)) for x, y in centres], axis=0)


def ground(probability: NDArray[np.float64] | None = None, elevation: NDArray[np.float64] | None = None) -> Ground:
    return Ground(TRANSFORM, (SIDE, SIDE), 0.2 * MIN_AREA**0.5, probability, elevation)


def crest() -> NDArray[np.float64]:
    """A crest that runs north to south at x = 600: water east of it runs east, west of it west."""
    return 5000 - 0.35 * np.abs(X - 600) + 0 * Y


def slope_to_south(bodies: tuple[tuple[float, float], ...] = ()) -> NDArray[np.float64]:
    """Ground that falls to the south by 15 degrees, with tongues on it: (middle, half width) in x, 25 m high, rounded."""
    elevation = 5000 - 0.27 * Y
    for middle, half in bodies:
        front = 900 + 40 * (middle > 600)
        elevation = elevation + 25 * np.sqrt(np.clip(1 - ((X - middle) / half) ** 2, 0, 1)) * (front > Y)
    return elevation


TWO_TONGUES = shapely.union_all([box(440, 200, 600, 900), box(600, 200, 760, 940)])


class TestCandidates:
    def test_a_neck_of_shape_and_probability_is_cut_at_the_neck(self) -> None:
        division = divide(TWO_DISCS, ground(bumps((350, 600), (850, 600))), MIN_AREA, 0.5)
        assert len(division.pieces) == 2
        (cut,) = [cut for cut in division.cuts if cut.made]
        assert abs(cut.line.centroid.x - place(600, 0)[0]) < 60
        assert 80 <= cut.line.length < 110
        assert cut.neck_width_ratio == pytest.approx(cut.line.length / 360, rel=0.1)
        assert cut.area_ratio == pytest.approx(1, abs=0.2)
        assert cut.lower_peak > 0.9

    @pytest.mark.parametrize(
        ("probability", "elevation"),
        [(bumps((600, 600), width=200), None), (None, slope_to_south()), (bumps((600, 600), width=200), slope_to_south())],
        ids=["probability", "elevation", "both"],
    )
    @pytest.mark.parametrize("outline", [ONE_DISC, TONGUE], ids=["disc", "long tongue"])
    def test_one_body_stays_whole(
        self, outline: shapely.Polygon, probability: NDArray[np.float64] | None, elevation: NDArray[np.float64] | None
    ) -> None:
        division = divide(outline, ground(probability, elevation), MIN_AREA, 0.5)
        assert division.pieces == [outline]
        assert not any(cut.made for cut in division.cuts)

    def test_a_crest_between_two_fronts_is_cut(self) -> None:
        division = divide(TWO_DISCS, ground(elevation=crest()), MIN_AREA, 0.5)
        assert len(division.pieces) == 2
        (cut,) = [cut for cut in division.cuts if cut.made]
        assert abs(cut.line.centroid.x - place(600, 0)[0]) < 30
        assert cut.fronts > 0.7
        assert cut.divide > 0.9

    def test_the_furrow_between_two_tongues_is_cut_along_its_length(self) -> None:
        division = divide(TWO_TONGUES, ground(elevation=slope_to_south(((520, 80), (680, 80)))), MIN_AREA, 0.5)
        assert len(division.pieces) == 2
        (cut,) = [cut for cut in division.cuts if cut.made]
        assert cut.line.length > 600
        x = shapely.get_coordinates(cut.line)[:, 0]
        assert np.abs(x - place(600, 0)[0]).max() < 25
        assert cut.furrow > 2
        assert cut.divide > 0.9

    def test_a_line_across_a_slope_lets_all_water_through(self) -> None:
        across = [cut for cut in candidates(TWO_DISCS, ground(elevation=5000 - 0.3 * X), MIN_AREA) if cut.source == "shape"]
        assert across[0].divide < 0.2
        assert across[0].fronts < 0.05

    def test_furrow_is_the_depth_of_a_groove_and_not_of_a_valley(self) -> None:
        def furrow(elevation: NDArray[np.float64]) -> float:
            cuts = candidates(TWO_DISCS, ground(elevation=elevation), MIN_AREA)
            return min(cuts, key=lambda cut: abs(cut.line.centroid.x - place(600, 0)[0])).furrow

        valley = 1e-3 * (X - 600) ** 2
        groove = np.where(np.abs(X - 600) < 15, -6.0, 0.0)
        assert furrow(valley) == pytest.approx(0, abs=0.1)
        assert 1 < furrow(valley + groove) < 6

    def test_without_probability_known_the_neck_depth_is_unknown(self) -> None:
        cut = candidates(TWO_DISCS, ground(elevation=crest()), MIN_AREA)[0]
        assert np.isnan(cut.neck_depth) and np.isnan(cut.lower_peak)

    def test_score_grows_with_the_evidence(self) -> None:
        shallow, deep = (
            divide(TWO_DISCS, ground(np.maximum(bumps((350, 600), (850, 600)), floor)), MIN_AREA, 0.0).cuts[0] for floor in (0.9, 0.1)
        )
        assert deep.neck_depth > shallow.neck_depth
        assert deep.score > shallow.score
        assert 0 < shallow.score < deep.score < 1
        assert deep.score == pytest.approx(score(deep, probability_known=True, elevation_known=False))

    def test_nothing_smaller_than_the_smallest_area_comes_off(self) -> None:
        evidence = ground(bumps((350, 600), (850, 600)))
        assert len(divide(TWO_DISCS, evidence, 90_000, 0.0).pieces) == 2
        assert len(divide(TWO_DISCS, evidence, 130_000, 0.0).pieces) == 1
        assert all(piece.area >= 20_000 for piece in divide(TWO_DISCS, evidence, 20_000, 0.0).pieces)

    def test_unknown_ground_under_the_neck_is_not_cut(self) -> None:
        probability = bumps((350, 600), (850, 600))
        probability[(X > 540) & (X < 660)] = np.nan
        assert not divide(TWO_DISCS, ground(probability), MIN_AREA, 0.5).cuts

    def test_a_few_unknown_pixels_do_not_matter(self) -> None:
        probability = bumps((350, 600), (850, 600))
        probability[::17, ::13] = np.nan
        assert len(divide(TWO_DISCS, ground(probability), MIN_AREA, 0.5).pieces) == 2

    def test_concavity_of_a_groove_is_positive_of_a_ridge_and_a_plane_is_not(self) -> None:
        groove = np.abs(X - 600) / 10
        middle = np.s_[60, 59:61]
        assert (concavity(groove, 2.0)[middle] > 0.5).all()
        assert (concavity(-groove, 2.0)[middle] < 0.05).all()
        np.testing.assert_allclose(concavity(0.3 * X - 0.2 * Y, 2.0)[30:90, 30:90], 0, atol=1e-9)


class TestPartition:
    def test_pieces_make_up_the_outline_with_identical_borders(self) -> None:
        three = shapely.union_all([disc(250, 600, 130), disc(600, 600, 130), disc(950, 600, 130), box(250, 575, 950, 625)])
        pieces = divide(three, ground(bumps((250, 600), (600, 600), (950, 600), width=90)), MIN_AREA, 0.5).pieces
        assert len(pieces) == 3
        assert sum(piece.area for piece in pieces) == pytest.approx(three.area, rel=1e-9)
        assert_partition(pieces, three)

    def test_lines_may_end_on_each_other(self) -> None:
        square = shapely.box(0, 0, 100, 100)
        lines = [shapely.LineString([(50, 0), (50, 100)]), shapely.LineString([(50, 50), (100, 50)])]
        pieces = divided(square, lines)
        assert sorted(piece.area for piece in pieces) == pytest.approx([2500, 2500, 5000], rel=1e-9)
        assert_partition(pieces, square)

    def test_holes_stay_holes(self) -> None:
        holed = TWO_DISCS.difference(disc(850, 600, 60))
        pieces = divide(holed, ground(bumps((350, 600), (850, 600))), MIN_AREA, 0.5).pieces
        assert sorted(len(piece.interiors) for piece in pieces) == [0, 1]
        assert sum(piece.area for piece in pieces) == pytest.approx(holed.area, rel=1e-9)


def assert_partition(pieces: list[shapely.Geometry], whole: shapely.Geometry) -> None:
    assert shapely.union_all(pieces).symmetric_difference(whole).area < 1e-6 * whole.area
    assert shapely.coverage_is_valid(pieces)


class TestJob:
    @pytest.fixture
    def files(self, tmp_path: Path) -> Callable[..., SplitJob]:
        def write(
            outlines: list[shapely.Geometry],
            probability: NDArray[np.float64] | None = None,
            dem: NDArray[np.float64] | None = None,
            crs: CRS = UTM,
            fields: dict[str, NDArray[np.generic]] | None = None,
            **parameters: Any,
        ) -> SplitJob:
            geometries = np.empty(len(outlines), dtype=object)
            geometries[:] = outlines
            layer = PolygonLayer(reproject(geometries, UTM, crs) if crs != UTM else geometries, crs, fields or {})
            kinds = {shape.geom_type for shape in outlines}
            write_polygons(tmp_path / "outlines.gpkg", layer, "outlines", "MultiPolygon" if "MultiPolygon" in kinds else "Polygon")
            paths: dict[str, str] = {}
            for name, values in (("probability", probability), ("dem", dem)):
                if values is not None:
                    paths[name] = str(tmp_path / f"{name}.tif")
                    write_raster(paths[name], values)
            return SplitJob(
                str(tmp_path / "outlines.gpkg"),
                str(tmp_path / "units.gpkg"),
                systems=str(tmp_path / "systems.gpkg"),
                cuts=str(tmp_path / "cuts.gpkg"),
                **paths,
                **parameters,
            )

        return write

    def test_units_systems_and_cuts_say_what_was_done(self, files) -> None:
        fields = {
            "id": np.array([7, 8]),
            "name": np.array(["twins", "tongue"], dtype=object),
            "votes": np.array([3.0, 2.0]),
            "area_hi_km2": np.array([0.5, 0.4]),
            "reliability_front": np.array([1, 2], dtype=np.int32),
            "PrimaryID": np.array(["RGU281527N0972426E", "RGU281000N0972000E"], dtype=object),
        }
        job = files([TWO_DISCS, disc(600, 200, 120)], np.maximum(bumps((350, 600), (850, 600)), bumps((600, 200))), fields=fields)
        result = run_job(job, SilentReporter())
        assert {name: result[name] for name in ("count", "outlines", "systems_count", "cuts_made", "not_looked_at")} == {
            "count": 3,
            "outlines": 2,
            "systems_count": 1,
            "cuts_made": 1,
            "not_looked_at": 0,
        }
        units, systems = read_polygons(job.output), read_polygons(job.systems)
        assert units.fields["system_id"].tolist() == [7, 7, 8]
        assert units.fields["unit_id"].tolist() == [1, 2, 1]
        assert units.fields["id"].tolist() == [1, 2, 3]
        assert set(units.fields["type"]) == {"RGU"}
        assert units.fields["name"].tolist() == ["twins", "twins", "tongue"]
        assert units.fields["votes"].tolist() == [3, 3, 2]
        np.testing.assert_array_equal(units.fields["area_hi_km2"], [np.nan, np.nan, 0.4])
        np.testing.assert_array_equal(units.fields["reliability_front"], [np.nan, np.nan, 2])
        assert units.fields["PrimaryID"].tolist() == [None, None, "RGU281000N0972000E"]
        np.testing.assert_allclose(units.fields["area_km2"], geodesic_area(units.geometries, units.crs) / 1e6)
        assert np.isnan(units.fields["score"]).tolist() == [False, False, True]
        assert systems.fields["id"].tolist() == [7, 8]
        assert set(systems.fields["type"]) == {"RGS"}
        assert systems.fields["units"].tolist() == [2, 1]
        assert systems.fields["system_type"].tolist() == ["multi-unit", "mono-unit"]
        meta, _, lines, values = pyogrio.raw.read(job.cuts)
        cuts = dict(zip(meta["fields"], values, strict=True))
        made = cuts["made"] == 1
        assert meta["geometry_type"] == "LineString"
        assert made.sum() == 1 and cuts["system_id"][made].tolist() == [7]
        assert cuts["score"][made][0] == pytest.approx(units.fields["score"][0])
        assert shapely.from_wkb(lines)[made][0].length == pytest.approx(cuts["length_m"][made][0])
        assert (cuts["score"][~made] < job.min_score).all()
        assert result["cuts_proposed"] == (~made).sum()

    @pytest.mark.parametrize("crs", [CRS.from_epsg(4326), CRS.from_epsg(3857), CRS.from_epsg(32644)], ids=["degrees", "mercator", "zone"])
    def test_outlines_in_any_crs_are_made_up_by_their_units_exactly(self, files, crs: CRS) -> None:
        job = files([TWO_DISCS], bumps((350, 600), (850, 600)), crest(), crs=crs)
        assert run_job(job, SilentReporter())["count"] == 2
        outline, units = read_polygons(job.input), read_polygons(job.output)
        assert units.crs == crs
        assert shapely.area(units.geometries).sum() == pytest.approx(outline.geometries[0].area, rel=1e-9)
        assert_partition(list(units.geometries), outline.geometries[0])
        assert units.fields["area_km2"].sum() == pytest.approx(geodesic_area(outline.geometries, crs)[0] / 1e6, rel=1e-7)
        known = {tuple(vertex) for vertex in shapely.get_coordinates(outline.geometries)}
        vertices = {tuple(vertex) for vertex in shapely.get_coordinates(units.geometries)}
        assert known <= vertices

    def test_an_outline_across_the_antimeridian_is_made_up_exactly(self, tmp_path: Path) -> None:
        zone, degrees = CRS.from_epsg(32660), CRS.from_epsg(4326)
        middle_x, middle_y = Transformer.from_crs(degrees, zone, always_xy=True).transform(180.0, 27.0)
        shift = np.array([middle_x, middle_y]) - place(600, 600)
        there = shapely.transform(TWO_DISCS, lambda places: places + shift)
        outline = shapely.transform(
            reproject(np.array([there], dtype=object), zone, degrees)[0], lambda places: np.column_stack([places[:, 0] % 360, places[:, 1]])
        )
        probability = str(tmp_path / "probability.tif")
        write_raster(probability, bumps((350, 600), (850, 600)), "EPSG:32660", Affine.translation(*shift) @ TRANSFORM)
        write_polygons(tmp_path / "outlines.gpkg", PolygonLayer(np.array([outline], dtype=object), degrees), "outlines")
        job = SplitJob(str(tmp_path / "outlines.gpkg"), str(tmp_path / "units.gpkg"), probability=probability)
        assert run_job(job, SilentReporter())["count"] == 2
        units = read_polygons(job.output).geometries
        assert shapely.area(units).sum() == pytest.approx(outline.area, rel=1e-9)
        assert_partition(list(units), outline)

    def test_rasters_of_other_grids_and_maps_do(self, files, tmp_path: Path) -> None:
        job = files([TWO_DISCS], bumps((350, 600), (850, 600)))
        degrees = tmp_path / "degrees.tif"
        with rasterio.open(job.probability) as source, rasterio.vrt.WarpedVRT(source, crs="EPSG:4326", nodata=np.nan) as warped:
            rasterio.shutil.copy(warped, degrees, driver="GTiff")
        run_job(job, SilentReporter())
        in_metres = read_polygons(job.output).geometries
        result = run_job(SplitJob(job.input, job.output, probability=str(degrees)), SilentReporter())
        assert result["count"] == 2
        in_degrees = read_polygons(job.output).geometries
        shared = shapely.area(shapely.intersection(in_metres[:, None], in_degrees)).max(axis=1)
        assert (shared > 0.95 * shapely.area(in_metres)).all()

    def test_an_outline_in_two_parts_keeps_both(self, files) -> None:
        beside = disc(850, 200, 60)
        job = files([shapely.MultiPolygon([TWO_DISCS, beside])], bumps((350, 600), (850, 600)))
        assert run_job(job, SilentReporter())["count"] == 2
        units = read_polygons(job.output)
        assert units.fields["system_id"].tolist() == [1, 1]
        assert shapely.area(units.geometries).sum() == pytest.approx(TWO_DISCS.area + beside.area, rel=1e-9)
        assert sorted(len(unit.geoms) for unit in units.geometries) == [1, 2]
        assert max(units.geometries, key=lambda unit: len(unit.geoms)).centroid.x > place(600, 0)[0]

    def test_outlines_outside_the_rasters_stay_whole_and_are_told(self, files) -> None:
        far = shapely.transform(TWO_DISCS, lambda places: places + [5000, 0])
        half = shapely.transform(TWO_DISCS, lambda places: places + [700, 0])
        reporter = SilentReporter()
        job = files([TWO_DISCS, far, half], bumps((350, 600), (850, 600)))
        result = run_job(job, reporter)
        assert result["not_looked_at"] == 2
        assert read_polygons(job.output).fields["system_id"].tolist() == [1, 1, 2, 3]
        assert "outside_rasters" in dict(reporter.warnings)

    def test_rasters_far_away_leave_all_whole(self, files) -> None:
        far = shapely.transform(TWO_DISCS, lambda places: places + [500_000, 0])
        assert run_job(files([far], bumps((350, 600)), crest()), SilentReporter())["not_looked_at"] == 1

    def test_rasters_of_the_other_side_of_the_earth_leave_all_whole(self, files) -> None:
        job = files([TWO_DISCS], bumps((350, 600), (850, 600)))
        with rasterio.open(job.probability, "r+") as dataset:
            dataset.crs = "EPSG:32719"
        assert run_job(job, SilentReporter())["not_looked_at"] == 1

    def test_the_raster_that_is_known_counts_where_the_other_is_not(self, files) -> None:
        unknown = np.full((SIDE, SIDE), np.nan)
        job = files([TWO_DISCS], bumps((350, 600), (850, 600)), unknown)
        assert run_job(job, SilentReporter())["count"] == 2
        assert np.isnan(pyogrio.raw.read(job.cuts, columns=["furrow"])[3][0]).all()

    def test_ids_that_are_not_unique_are_replaced_and_told(self, files) -> None:
        reporter = SilentReporter()
        job = files([TWO_DISCS, disc(600, 200, 80)], bumps((350, 600), (850, 600)), fields={"id": np.array([4, 4])})
        run_job(job, reporter)
        assert read_polygons(job.output).fields["system_id"].tolist() == [1, 1, 2]
        assert [code for code, _ in reporter.warnings] == ["ids"]

    def test_no_smallest_area_still_looks_for_rock_glaciers_and_not_for_boulders(self, files) -> None:
        job = files([TWO_DISCS], bumps((350, 600), (850, 600)), min_area=0.0)
        run_job(job, SilentReporter())
        assert (read_polygons(job.output).fields["area_km2"] >= 0.0025).all()

    def test_an_empty_layer_gives_empty_layers(self, files) -> None:
        job = files([], bumps((350, 600)))
        assert run_job(job, SilentReporter())["count"] == 0
        assert len(read_polygons(job.output)) == 0
        assert pyogrio.read_info(job.cuts)["features"] == 0

    def test_a_self_crossing_outline_is_repaired_and_counted(self, files) -> None:
        bow = shapely.Polygon([place(200, 400), place(1000, 800), place(1000, 400), place(200, 800)])
        reporter = SilentReporter()
        run_job(files([bow], bumps((300, 600), (900, 600))), reporter)
        assert any("1 invalid" in text for text in reporter.infos)

    def test_without_evidence_it_says_what_to_give(self, files) -> None:
        with pytest.raises(EngineError, match="Give the probability raster") as raised:
            run_job(files([TWO_DISCS]), SilentReporter())
        assert raised.value.code == "no_evidence"

    def test_a_raster_that_holds_no_probabilities_is_refused(self, files) -> None:
        with pytest.raises(EngineError, match="between 0 and 1") as raised:
            run_job(files([TWO_DISCS], 100 * bumps((350, 600))), SilentReporter())
        assert raised.value.code == "not_probability"

    def test_the_outlines_that_a_person_drew_in_sikkim_stay_whole(self, data: Path, tmp_path: Path) -> None:
        job = SplitJob(
            str(data / "sikkim" / "rock_glaciers_manual.geojson"),
            str(tmp_path / "units.gpkg"),
            dem=str(data / "sikkim" / "sikkim_dem_10m.tif"),
        )
        result = run_job(job, SilentReporter())
        assert (result["count"], result["systems_count"], result["not_looked_at"]) == (3, 0, 0)

    def test_cancelled_it_leaves_nothing(self, files) -> None:
        job = files([TWO_DISCS], bumps((350, 600)))
        with pytest.raises(Cancelled):
            run_job(job, SilentReporter(cancel_after=1))
        assert not Path(job.output).exists()

    def test_all_outputs_appear_or_none(self, files, tmp_path: Path) -> None:
        job = replace(files([TWO_DISCS], bumps((350, 600))), cuts=str(tmp_path / "no folder" / "cuts.gpkg"))
        with pytest.raises(EngineError) as raised:
            run_job(job, SilentReporter())
        assert raised.value.code == "output_folder"
        assert not Path(job.output).exists() and not Path(job.systems).exists()

    def test_in_a_shell(self, files) -> None:
        job = files([TWO_DISCS], bumps((350, 600), (850, 600)))
        arguments = ["split", job.input, job.output, "--probability", job.probability]
        command = [sys.executable, str(ROOT / "engine"), *arguments]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert "2 units of 1 outlines" in said
        last = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        assert json.loads(last)["result"]["cuts_made"] == 1


def write_raster(path: str, values: NDArray[np.float64], crs: str = "EPSG:32645", transform: Affine = TRANSFORM) -> None:
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "float32", "crs": crs}
    with rasterio.open(path, "w", **profile, transform=transform, nodata=np.nan) as dataset:
        dataset.write(values.astype(np.float32), 1)
