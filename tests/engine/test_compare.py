"""Inventories whose differences are known by construction."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from pyproj import CRS

from engine.compare import CHANGES, compare_inventories
from engine.errors import Cancelled, EngineError
from engine.geodesy import geodesic_area
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, read_polygons, read_table, write_polygons
from jobs import CompareInventoriesJob

UTM = CRS.from_epsg(32645)
WEST, SOUTH = 500_000, 3_100_000
GROUND = 1 / 0.9996**2
"""Square metres on the ground of a square metre of the map, on the central meridian."""


def at(left: float, bottom: float, right: float, top: float) -> shapely.Polygon:
    return shapely.box(WEST + left, SOUTH + bottom, WEST + right, SOUTH + top)


def save(path: Path, polygons: list[Any], crs: CRS = UTM, **fields: Any) -> str:
    columns = {name: np.array(values, dtype=object if isinstance(values[0], str) else None) for name, values in fields.items()}
    write_polygons(path, PolygonLayer(np.array(polygons, dtype=object), crs, columns), "polygons", "MultiPolygon")
    return str(path)


def rows_of(path: str | None) -> list[dict[str, Any]]:
    assert path
    layer = read_polygons(path)
    return [
        {**{name: values[index] for name, values in layer.fields.items()}, "geometry": layer.geometries[index]}
        for index in range(len(layer))
    ]


class TestTwo:
    """The older inventory on the left of each pair, the newer on the right."""

    CASES = {
        "new": ([], [at(0, 0, 200, 200)]),
        "missed": ([at(0, 0, 200, 200)], []),
        "unchanged": ([at(0, 0, 200, 200)], [at(0, 0, 200, 200)]),
        "changed": ([at(0, 0, 200, 200)], [at(0, 0, 200, 300)]),
        "split": ([at(0, 0, 400, 200)], [at(0, 0, 190, 200), at(210, 0, 400, 200)]),
        "merged": ([at(0, 0, 190, 200), at(210, 0, 400, 200)], [at(0, 0, 400, 200)]),
        "regrouped": ([at(0, 0, 200, 200), at(200, 0, 400, 200)], [at(0, 0, 250, 200), at(250, 0, 400, 200)]),
    }

    @pytest.mark.parametrize("name", CASES)
    def test_classes(self, tmp_path: Path, name: str) -> None:
        older, newer = self.CASES[name]
        job = CompareInventoriesJob((save(tmp_path / "a.gpkg", older), save(tmp_path / "b.gpkg", newer)), str(tmp_path / "out.gpkg"))
        result = compare_inventories(job, SilentReporter())
        assert {change: result[change] for change in CHANGES} == {change: int(change == name) for change in CHANGES}
        rows = rows_of(job.output)
        assert [row["inventory"] for row in rows] == ["a"] * len(older) + ["b"] * len(newer)
        assert {row["change"] for row in rows} == {name}

    @pytest.mark.parametrize(("limit", "change"), [(0.66, "unchanged"), (0.67, "changed")])
    def test_the_limit_between_changed_and_unchanged(self, tmp_path: Path, limit: float, change: str) -> None:
        older, newer = self.CASES["changed"]  # 4 of 6 ha shared
        files = (save(tmp_path / "a.gpkg", older), save(tmp_path / "b.gpkg", newer))
        assert compare_inventories(CompareInventoriesJob(files, changed_iou=limit), SilentReporter())[change] == 1

    def test_areas_and_counterparts_both_ways(self, tmp_path: Path) -> None:
        older, newer = self.CASES["split"]
        files = (save(tmp_path / "2001.gpkg", older, id=[7]), save(tmp_path / "2021.gpkg", newer, PrimaryID=["RGU1", "RGU2"]))
        job = CompareInventoriesJob(files, str(tmp_path / "out.gpkg"))
        compare_inventories(job, SilentReporter())
        whole, west, east = rows_of(job.output)
        assert (whole["id"], whole["counterparts"], west["id"], west["counterparts"]) == ("7", "RGU1, RGU2", "RGU1", "7")
        assert whole["component"] == west["component"] == east["component"]
        assert (whole["n_older"], whole["n_newer"]) == (1, 2)
        assert whole["area_km2"] == pytest.approx(0.08 * GROUND, rel=1e-5)
        assert whole["counterpart_km2"] == whole["overlap_km2"] == pytest.approx(0.076 * GROUND, rel=1e-5)
        assert (whole["overlap_share"], whole["counterpart_share"]) == (pytest.approx(0.95), pytest.approx(1))
        assert (west["overlap_share"], west["counterpart_share"]) == (pytest.approx(1), pytest.approx(0.475))
        assert whole["iou"] == pytest.approx(0.95)
        assert whole["area_change_km2"] == pytest.approx(-0.004 * GROUND, rel=1e-4)
        assert west["area_change_percent"] == pytest.approx(-5)

    def test_what_has_no_counterpart(self, tmp_path: Path) -> None:
        files = (save(tmp_path / "a.gpkg", [at(0, 0, 200, 200)]), save(tmp_path / "b.gpkg", [at(900, 0, 1100, 200)]))
        job = CompareInventoriesJob(files, str(tmp_path / "out.gpkg"))
        listener = SilentReporter()
        compare_inventories(job, listener)
        missed, new = rows_of(job.output)
        for row in (missed, new):
            assert row["counterparts"] is None and all(math.isnan(row[name]) for name in ("overlap_km2", "counterpart_km2", "iou"))
        assert (missed["area_change_percent"], new["area_change_km2"]) == (pytest.approx(-100), pytest.approx(0.04 * GROUND, rel=1e-4))
        assert math.isnan(new["area_change_percent"])
        assert [code for code, _ in listener.warnings] == ["no_overlap"]

    def test_a_sliver_is_no_overlap(self, tmp_path: Path) -> None:
        files = (save(tmp_path / "a.gpkg", [at(0, 0, 200, 200)]), save(tmp_path / "b.gpkg", [at(191, 0, 391, 200)]))
        found = [compare_inventories(CompareInventoriesJob(files, sliver=sliver), SilentReporter()) for sliver in (0.05, 0.04)]
        assert [(result["new"], result["missed"], result["changed"]) for result in found] == [(1, 1, 0), (0, 0, 1)]

    def test_area_of_interest(self, tmp_path: Path) -> None:
        """An outline counts with half of its area inside, or with its partner."""
        older = [at(0, 0, 200, 200), at(900, 0, 1101, 200), at(2000, 0, 2200, 200)]
        newer = [at(0, 0, 200, 200), at(890, 0, 1090, 200), at(3000, 0, 3200, 200)]
        files = (save(tmp_path / "a.gpkg", older), save(tmp_path / "b.gpkg", newer))
        area = save(tmp_path / "area.gpkg", [at(-100, -100, 1000, 1000)])
        result = compare_inventories(CompareInventoriesJob(files, area_of_interest=area), SilentReporter())
        assert (result["unchanged"], result["new"], result["missed"], result["changed"]) == (2, 0, 0, 0)
        assert [inventory["count"] for inventory in result["inventories"]] == [2, 2]


OPERATORS = {
    "Ada": [at(0, 0, 200, 200), at(1000, 0, 1200, 200), at(3000, 0, 3200, 200)],
    "Bo": [at(0, 0, 220, 200), at(1000, 0, 1200, 200)],
    "Cem": [at(0, 0, 200, 180), at(2000, 0, 2100, 100)],
}
"""One rock glacier that all see, one that two see, one that Cem and one that Ada alone sees."""


@pytest.fixture
def three(tmp_path: Path) -> CompareInventoriesJob:
    files = tuple(save(tmp_path / f"{name}.gpkg", polygons) for name, polygons in OPERATORS.items())
    outputs = {name: str(tmp_path / f"{name}.gpkg") for name in ("output", "disagreements", "consensus")}
    return CompareInventoriesJob(
        files, **outputs, agreement=str(tmp_path / "agreement.tif"), operators=str(tmp_path / "operators.csv"), resolution=20.0
    )


class TestOperators:
    def test_consensus_is_what_more_than_half_hold(self, three: CompareInventoriesJob) -> None:
        result = compare_inventories(three, SilentReporter())
        all_see, two_see = rows_of(three.consensus)
        assert result["n_consensus"] == 2 and all(result[change] is None for change in CHANGES)
        assert all_see["geometry"].symmetric_difference(at(0, 0, 200, 200)).area < 1
        assert two_see["geometry"].symmetric_difference(at(1000, 0, 1200, 200)).area < 1
        assert (all_see["n_operators"], two_see["n_operators"]) == (3, 2)
        areas = np.array([0.04, 0.044, 0.036]) * GROUND
        assert all_see["area_sd_km2"] == pytest.approx(areas.std(ddof=1), rel=1e-4)
        assert (all_see["area_min_km2"], all_see["area_max_km2"]) == (
            pytest.approx(areas.min(), rel=1e-4),
            pytest.approx(areas.max(), rel=1e-4),
        )
        assert all_see["agreement"] == pytest.approx((180 + 20 * 2 / 3) / 200, rel=1e-4)
        assert two_see["agreement"] == pytest.approx(2 / 3)
        assert [row["id"] for row in (all_see, two_see)] == [1, 2]

    def test_disagreements_worst_first(self, three: CompareInventoriesJob) -> None:
        compare_inventories(three, SilentReporter())
        rows = rows_of(three.disagreements)
        assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
        found = [(round(row["area_km2"] / GROUND * 1e6), row["kind"], row["held_by"], row["not_held_by"], row["n_held"]) for row in rows]
        assert sorted(found[:2]) == [(40000, "presence", "Ada", "Bo, Cem", 1), (40000, "presence", "Ada, Bo", "Cem", 2)]
        assert found[2] == (10000, "presence", "Cem", "Ada, Bo", 1)
        assert sorted(found[3:]) == [(4000, "boundary", "Ada, Bo", "Cem", 2), (4000, "boundary", "Bo", "Ada, Cem", 1)]

    def test_bias_of_each_operator(self, three: CompareInventoriesJob) -> None:
        result = compare_inventories(three, SilentReporter())
        table = read_table(three.operators or "")
        assert list(table["inventory"]) == list(OPERATORS) == [row["inventory"] for row in result["bias"]]
        rows = {row["inventory"]: row for row in result["bias"]}
        assert (rows["Ada"]["producers_accuracy"], rows["Ada"]["users_accuracy"]) == (1, pytest.approx(2 / 3))
        assert (rows["Cem"]["producers_accuracy"], rows["Cem"]["users_accuracy"]) == (0.5, 0.5)
        assert [(row["missed"], row["extra"]) for row in result["bias"]] == [(0, 1), (0, 0), (1, 1)]
        assert rows["Bo"]["area_deviation_percent"] == pytest.approx((10 + 0) / 2, abs=1e-6)
        assert rows["Cem"]["area_deviation_percent"] == pytest.approx(-10, abs=1e-6)
        assert rows["Bo"]["total_area_km2"] == pytest.approx(0.084 * GROUND, rel=1e-4)

    def test_agreement_raster(self, three: CompareInventoriesJob) -> None:
        compare_inventories(three, SilentReporter())
        with rasterio.open(three.agreement) as raster:
            values = raster.read(1)
            assert raster.crs.to_epsg() == 32645 and raster.res == (20, 20) and raster.descriptions == ("agreement",)
            assert raster.bounds == (WEST, SOUTH, WEST + 3200, SOUTH + 200)
            seen = {
                point: next(raster.sample([(WEST + x, SOUTH + 190)]))[0]
                for point, x in (("core", 50), ("two", 1050), ("Bo", 210), ("none", 700))
            }
        assert seen == {"core": pytest.approx(2 / 3), "two": pytest.approx(2 / 3), "Bo": pytest.approx(1 / 3), "none": 0}
        assert (values == 1).sum() == 10 * 9

    def test_all_outlines_with_their_agreement(self, three: CompareInventoriesJob) -> None:
        compare_inventories(three, SilentReporter())
        rows = rows_of(three.output)
        assert len(rows) == 7 and [row["inventory"] for row in rows[:3]] == ["Ada"] * 3
        assert [row["n_inventories"] for row in rows[:3]] == [3, 2, 1]
        assert rows[0]["counterparts"] == "Bo: 1; Cem: 1" and rows[2]["counterparts"] is None
        assert rows[0]["agreement"] == pytest.approx((1 + 1 + 0.9) / 3) and rows[2]["agreement"] == pytest.approx(1 / 3)

    def test_ground_that_all_and_any_hold(self, three: CompareInventoriesJob) -> None:
        result = compare_inventories(three, SilentReporter())
        assert result["held_by_all_km2"] == pytest.approx(0.036 * GROUND, rel=1e-4)
        assert result["held_by_any_km2"] == pytest.approx((0.044 + 0.04 + 0.01 + 0.04) * GROUND, rel=1e-4)

    def test_pixels_outside_the_area_of_interest_are_unknown(self, three: CompareInventoriesJob, tmp_path: Path) -> None:
        area = save(tmp_path / "area.gpkg", [at(-100, -100, 1100, 300)])
        compare_inventories(replace(three, area_of_interest=area), SilentReporter())
        with rasterio.open(three.agreement) as raster:
            inside, outside = (next(raster.sample([(WEST + x, SOUTH + 100)]))[0] for x in (1090, 1110))
        assert inside == pytest.approx(2 / 3) and np.isnan(outside)


class TestBias:
    def test_what_is_drawn_as_one_is_compared_with_all_that_it_holds(self, tmp_path: Path) -> None:
        """Dee draws both rock glaciers as one with the ground between them; nothing is missed, nothing extra."""
        apart = [at(0, 0, 200, 200), at(220, 0, 420, 200)]
        inventories = {"Ada": apart, "Bo": apart, "Dee": [at(0, 0, 420, 200)]}
        files = tuple(save(tmp_path / f"{name}.gpkg", polygons) for name, polygons in inventories.items())
        job = CompareInventoriesJob(files, consensus=str(tmp_path / "consensus.gpkg"))
        rows = {row["inventory"]: row for row in compare_inventories(job, SilentReporter())["bias"]}
        dee = rows["Dee"]
        assert (dee["producers_accuracy"], dee["users_accuracy"], dee["missed"], dee["extra"], dee["merged"]) == (1, 1, 0, 0, 2)
        assert dee["area_deviation_percent"] == pytest.approx(5, abs=1e-6) and rows["Ada"]["area_deviation_percent"] == pytest.approx(0)
        for outline in rows_of(job.consensus):
            assert outline["n_operators"] == 3
            assert outline["area_sd_km2"] == pytest.approx(0, abs=1e-9) and outline["area_max_km2"] == pytest.approx(outline["area_km2"])

    def test_what_is_drawn_as_two(self, tmp_path: Path) -> None:
        whole = [at(0, 0, 400, 200)]
        inventories = {"Ada": whole, "Bo": whole, "Eli": [at(0, 0, 180, 200), at(220, 0, 400, 200)]}
        files = tuple(save(tmp_path / f"{name}.gpkg", polygons) for name, polygons in inventories.items())
        job = CompareInventoriesJob(files, consensus=str(tmp_path / "consensus.gpkg"))
        eli = compare_inventories(job, SilentReporter())["bias"][2]
        assert (eli["split"], eli["merged"], eli["missed"], eli["extra"]) == (1, 0, 0, 0)
        assert eli["area_deviation_percent"] == pytest.approx(-10, abs=1e-6)
        (outline,) = rows_of(job.consensus)
        assert outline["area_min_km2"] == pytest.approx(0.072 * GROUND, rel=1e-4)


class TestConsensusOfNeighbours:
    """Two rock glaciers side by side, with a border that the operators see, or not."""

    WEST_ONE, EAST_ONE, BOTH = at(0, 0, 200, 200), at(200, 0, 400, 200), at(0, 0, 400, 200)

    def agreed(self, tmp_path: Path, *inventories: list[shapely.Polygon]) -> list[dict[str, Any]]:
        files = tuple(save(tmp_path / f"{number}.gpkg", polygons) for number, polygons in enumerate(inventories))
        job = CompareInventoriesJob(files, consensus=str(tmp_path / "consensus.gpkg"))
        compare_inventories(job, SilentReporter())
        return rows_of(job.consensus)

    def test_most_see_it(self, tmp_path: Path) -> None:
        apart = [self.WEST_ONE, self.EAST_ONE]
        rows = self.agreed(tmp_path, apart, [at(0, 0, 210, 200), at(210, 0, 400, 200)], [self.BOTH])
        assert sorted(round(row["geometry"].area) for row in rows) in ([40000, 40000], [38000, 42000])
        assert shapely.union_all([row["geometry"] for row in rows]).symmetric_difference(self.BOTH).area < 1

    def test_most_do_not(self, tmp_path: Path) -> None:
        (row,) = self.agreed(tmp_path, [self.WEST_ONE, self.EAST_ONE], [self.BOTH], [self.BOTH])
        assert row["geometry"].symmetric_difference(self.BOTH).area < 1 and row["n_operators"] == 3

    def test_all_see_it_and_slivers_overlap(self, tmp_path: Path) -> None:
        rows = self.agreed(tmp_path, [self.WEST_ONE, self.EAST_ONE], [at(0, 0, 205, 200), at(205, 0, 400, 200)])
        assert len(rows) == 2 and [row["n_operators"] for row in rows] == [2, 2]

    def test_ground_beyond_the_model_belongs_to_its_neighbour(self, tmp_path: Path) -> None:
        """The first operator, whose border is taken, lacks a strip in the north that the two others have."""
        short = [at(0, 0, 200, 190), at(200, 0, 400, 190)]
        rows = self.agreed(tmp_path, short, [at(0, 0, 400, 200)], [at(0, 0, 400, 200)], short, [*short[:1], at(200, 0, 400, 200)])
        assert len(rows) == 2
        assert shapely.union_all([row["geometry"] for row in rows]).area == pytest.approx(400 * 190 + 200 * 10, abs=1)

    def test_a_crumb_is_left_out(self, tmp_path: Path) -> None:
        one, other = shapely.union_all([at(0, 0, 200, 200), at(200, 0, 400, 20)]), at(0, 0, 200, 200)
        third = shapely.MultiPolygon([at(0, 0, 200, 200), at(390, 0, 400, 20)])
        (row,) = self.agreed(tmp_path, [one], [other], [third])
        assert row["geometry"].area == pytest.approx(40000, abs=1)


class TestAgainstBruteForce:
    def test_random_outlines_of_five_operators(self, tmp_path: Path) -> None:
        random = np.random.default_rng(5)
        centres = random.uniform(0, 4000, (30, 2))
        inventories = []
        for _ in range(5):
            seen = random.random(30) < 0.8
            shapes = [
                shapely.Point(WEST + x, SOUTH + y).buffer(r)
                for (x, y), r in zip(
                    centres[seen] + random.normal(0, 20, (seen.sum(), 2)), random.uniform(80, 220, seen.sum()), strict=True
                )
            ]
            inventories.append(shapes)
        files = tuple(save(tmp_path / f"{number}.gpkg", shapes) for number, shapes in enumerate(inventories))
        job = CompareInventoriesJob(
            files, consensus=str(tmp_path / "c.gpkg"), disagreements=str(tmp_path / "d.gpkg"), sliver=0.0, resolution=10
        )
        result = compare_inventories(job, SilentReporter())
        unions = [shapely.union_all(shapes) for shapes in inventories]
        x, y = (WEST + random.uniform(-300, 4300, 4000), SOUTH + random.uniform(-300, 4300, 4000))
        held = np.sum([shapely.contains_xy(union, x, y) for union in unions], axis=0)
        agreed = shapely.union_all([row["geometry"] for row in rows_of(job.consensus)])
        assert (shapely.contains_xy(agreed, x, y) == (held >= 3)).mean() > 0.998  # crumbs of a square metre are left out
        differing = rows_of(job.disagreements)
        assert (shapely.contains_xy(shapely.union_all([row["geometry"] for row in differing]), x, y) == ((held > 0) & (held < 5))).all()
        assert [row["area_km2"] for row in differing] == sorted((row["area_km2"] for row in differing), reverse=True)
        by_any = geodesic_area(np.array([shapely.union_all(unions)]), UTM)[0] / 1e6
        by_all = geodesic_area(np.array([shapely.intersection_all(unions)]), UTM)[0] / 1e6
        assert (result["held_by_any_km2"], result["held_by_all_km2"]) == (pytest.approx(by_any, rel=1e-5), pytest.approx(by_all, rel=1e-5))
        assert sum(row["area_km2"] for row in differing) == pytest.approx(by_any - by_all, rel=1e-4)


class TestBadInput:
    def both(self, tmp_path: Path, older: str, newer: str) -> tuple[dict[str, Any], SilentReporter]:
        outputs = {name: str(tmp_path / f"out_{name}.gpkg") for name in ("output", "disagreements", "consensus", "operators")}
        listener = SilentReporter()
        job = CompareInventoriesJob((older, newer), **outputs, agreement=str(tmp_path / "agreement.tif"))
        return compare_inventories(job, listener), listener

    def test_degrees_against_metres(self, tmp_path: Path) -> None:
        older = save(tmp_path / "a.gpkg", [at(0, 0, 200, 200)])
        in_degrees = read_polygons(older).in_crs("EPSG:4326").geometries
        newer = save(tmp_path / "b.gpkg", list(in_degrees), CRS(4326))
        for pair in ((older, newer), (newer, older)):
            assert self.both(tmp_path, *pair)[0]["unchanged"] == 1
        with rasterio.open(tmp_path / "agreement.tif") as raster:
            assert raster.crs.to_epsg() == 32645 and (raster.read(1) == 1).sum() == pytest.approx(400, abs=45)

    @pytest.mark.parametrize("first", ["local", "global"])
    def test_a_local_inventory_against_one_of_the_world(self, tmp_path: Path, first: str) -> None:
        local = save(tmp_path / "local.gpkg", [at(0, 0, 200, 200)])
        here = read_polygons(local).in_crs("EPSG:4326").geometries[0]
        world = save(tmp_path / "world.gpkg", [here, shapely.box(-70, -30, -69.99, -29.99), shapely.box(179.99, 65, 180, 65.01)], CRS(4326))
        job = CompareInventoriesJob((local, world) if first == "local" else (world, local))
        result = compare_inventories(job, SilentReporter())
        assert (result["unchanged"], result["new"] + result["missed"]) == (1, 2)

    def test_where_the_first_one_s_map_ends(self, tmp_path: Path) -> None:
        local = save(tmp_path / "local.gpkg", [at(0, 0, 200, 200)])
        pole = save(tmp_path / "pole.gpkg", [shapely.box(1e30, 0, 2e30, 1e30)], CRS(3857))
        with pytest.raises(EngineError) as raised:
            compare_inventories(CompareInventoriesJob((local, pole)), SilentReporter())
        assert raised.value.code == "crs_place"

    @pytest.mark.parametrize("empty", ["older", "newer", "both"])
    def test_empty_layers(self, tmp_path: Path, empty: str) -> None:
        nothing, something = save(tmp_path / "none.gpkg", []), save(tmp_path / "some.gpkg", [at(0, 0, 200, 200)])
        older, newer = (nothing if empty in (side, "both") else something for side in ("older", "newer"))
        if empty == "both":
            with pytest.raises(EngineError, match="No inventory holds an outline"):
                self.both(tmp_path, older, newer)
            return
        result, listener = self.both(tmp_path, older, newer)
        assert result["new" if empty == "older" else "missed"] == 1 and result["n_consensus"] == 0
        assert [code for code, _ in listener.warnings] == ["no_outlines"]

    def test_invalid_outlines_are_repaired_and_counted(self, tmp_path: Path) -> None:
        bow_tie = shapely.Polygon([(WEST, SOUTH), (WEST + 200, SOUTH + 200), (WEST + 200, SOUTH), (WEST, SOUTH + 200)])
        pyogrio.raw.write(
            tmp_path / "bow.gpkg", shapely.to_wkb(np.array([bow_tie])), [], [], driver="GPKG", geometry_type="Polygon", crs="EPSG:32645"
        )
        result, listener = self.both(tmp_path, str(tmp_path / "bow.gpkg"), str(tmp_path / "bow.gpkg"))
        assert result["unchanged"] == 1 and sum("1 invalid polygons were repaired" in info for info in listener.infos) == 2
        assert [inventory["name"] for inventory in result["inventories"]] == ["bow (1)", "bow (2)"]

    def test_height_is_left_out(self, tmp_path: Path) -> None:
        high = shapely.force_3d(np.array([at(0, 0, 200, 200)]), 4000.0)
        pyogrio.raw.write(
            tmp_path / "z.gpkg",
            shapely.to_wkb(high, output_dimension=3),
            [],
            [],
            driver="GPKG",
            geometry_type="Polygon Z",
            crs="EPSG:32645",
        )
        result, _ = self.both(tmp_path, str(tmp_path / "z.gpkg"), save(tmp_path / "a.gpkg", [at(0, 0, 200, 200)]))
        assert result["unchanged"] == 1

    def test_duplicate_ids_become_numbers(self, tmp_path: Path) -> None:
        twice = save(tmp_path / "a.gpkg", [at(0, 0, 200, 200), at(500, 0, 700, 200)], id=[4, 4])
        result, listener = self.both(tmp_path, twice, save(tmp_path / "b.gpkg", [at(0, 0, 200, 200)], id=[9]))
        assert [code for code, _ in listener.warnings] == ["duplicate_ids"]
        assert [row["id"] for row in rows_of(result["output"])] == ["1", "2", "9"]

    def test_across_the_antimeridian(self, tmp_path: Path) -> None:
        halves = shapely.MultiPolygon([shapely.box(179.995, 60, 180, 60.005), shapely.box(-180, 60, -179.995, 60.005)])
        older = save(tmp_path / "a.gpkg", [halves], CRS(4326))
        newer = save(tmp_path / "b.gpkg", [shapely.box(179.995, 60, 180.005, 60.005)], CRS(4326))
        assert self.both(tmp_path, older, newer)[0]["unchanged"] == 1

    def test_over_several_zones(self, tmp_path: Path) -> None:
        """One raster over outlines in three UTM zones, on an equal-area map."""
        outlines = [shapely.box(x, 30, x + 0.02, 30.02) for x in (77.9, 80, 84.1)]
        file = save(tmp_path / "a.gpkg", outlines, CRS(4326))
        job = CompareInventoriesJob((file, file), agreement=str(tmp_path / "agreement.tif"), resolution=500.0)
        compare_inventories(job, SilentReporter())
        with rasterio.open(job.agreement) as raster:
            assert (raster.read(1) == 1).sum() * 0.25 == pytest.approx(geodesic_area(np.array(outlines), CRS(4326)).sum() / 1e6, rel=0.15)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError) as raised:
            self.both(tmp_path, str(tmp_path / "nowhere.gpkg"), save(tmp_path / "a.gpkg", []))
        assert raised.value.code == "file_missing"

    def test_cancelled(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.gpkg", [at(0, 0, 200, 200)])
        job = CompareInventoriesJob((file, file), str(tmp_path / "out.gpkg"), agreement=str(tmp_path / "agreement.tif"))
        with pytest.raises(Cancelled):
            compare_inventories(job, SilentReporter(cancel_after=4))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gpkg"]

    def test_an_output_that_cannot_be_written_leaves_none(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.gpkg", [at(0, 0, 200, 200)])
        job = CompareInventoriesJob((file, file), str(tmp_path / "out.gpkg"), operators=str(tmp_path / "nowhere" / "table.csv"))
        with pytest.raises(EngineError) as raised:
            compare_inventories(job, SilentReporter())
        assert raised.value.code == "output_folder" and not Path(str(job.output)).exists()
