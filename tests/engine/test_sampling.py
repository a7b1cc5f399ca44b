"""Strata and points on made ground with known areas, labelled and estimated; and what stands in the way."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS, Geod, Proj

from engine.area_estimates import Z95, estimate
from engine.errors import Cancelled, EngineError
from engine.geodesy import geodesic_area
from engine.rasters import PASSPORT
from engine.reporting import SilentReporter
from engine.sampling import Stratum, design_sample, draw, estimate_area, lay_out_strata, uniform_points
from engine.vectors import PolygonLayer, read_polygons, read_table, write_polygons
from jobs import DesignSampleJob, EstimateAreaJob

UTM = CRS.from_epsg(32645)
WEST, SOUTH = 500_000, 3_100_000
"""On the central meridian, where a metre of the map is 1/0.9996 m on the ground."""


def at(left: float, bottom: float, right: float, top: float) -> shapely.Polygon:
    """A box in metres from the corner of the area."""
    return shapely.box(WEST + left, SOUTH + bottom, WEST + right, SOUTH + top)


AREA = at(0, 0, 10_000, 10_000)
OUTLINES = [at(2000, 2000, 3000, 2500), at(6000, 6000, 6600, 6500)]


def save(path: Path, polygons: list[shapely.Polygon], crs: CRS = UTM) -> str:
    write_polygons(path, PolygonLayer(np.array(polygons, dtype=object), crs), "polygons")
    return str(path)


def write_probability(path: Path, values: np.ndarray, pixel: float = 100.0, **changes: Any) -> str:
    """A raster whose upper left corner is that of the area."""
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "crs": UTM.to_wkt(), "nodata": math.nan}
    profile |= {"transform": Affine(pixel, 0, WEST, 0, -pixel, SOUTH + 10_000), "height": values.shape[0], "width": values.shape[1]}
    with rasterio.open(path, "w", **{**profile, **changes}) as dataset:
        dataset.write(values.astype(np.float32), 1)
    return str(path)


@pytest.fixture
def job(tmp_path: Path) -> DesignSampleJob:
    """The whole area, two outlines, a ring of 100 m."""
    predicted, area = save(tmp_path / "outlines.gpkg", OUTLINES), save(tmp_path / "area.gpkg", [AREA])
    return DesignSampleJob(predicted, str(tmp_path / "points.gpkg"), area_of_interest=area, size=200, min_per_stratum=20)


def points_of(path: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    meta, _, wkb, values = pyogrio.raw.read(path)
    return shapely.from_wkb(wkb), dict(zip(meta["fields"], values, strict=True))


class TestStrata:
    def test_areas(self, job: DesignSampleJob) -> None:
        rows = {row["stratum"]: row for row in design_sample(job, SilentReporter())["strata"]}
        ground = 1 / 0.9996**2
        assert list(rows) == ["predicted", "ring", "rest"]
        assert rows["predicted"]["area_km2"] == pytest.approx(0.8 * ground, rel=1e-5)
        ring = 2 * 100 * (1000 + 500 + 600 + 500) + 2 * math.pi * 100**2
        assert rows["ring"]["area_km2"] == pytest.approx(ring / 1e6, rel=5e-3)
        assert sum(row["area_km2"] for row in rows.values()) == pytest.approx(100 * ground, rel=1e-5)
        assert sum(row["weight"] for row in rows.values()) == pytest.approx(1)

    def test_points_lie_in_their_stratum(self, job: DesignSampleJob) -> None:
        result = design_sample(job, SilentReporter())
        points, fields = points_of(job.output)
        away = shapely.distance(shapely.union_all(OUTLINES), points)
        stratum = fields["stratum"]
        assert (away[stratum == "predicted"] == 0).all()
        assert ((away[stratum == "ring"] > 0) & (away[stratum == "ring"] <= 100.1)).all()
        assert (away[stratum == "rest"] > 99).all() and shapely.contains(AREA, points).all()
        assert (fields["predicted"] == (stratum == "predicted")).all()
        assert list(fields["id"]) == list(range(1, result["count"] + 1))
        assert np.isnan(fields["reference"].astype(float)).all() and all(comment is None for comment in fields["comment"])
        for row in result["strata"]:
            here = stratum == row["stratum"]
            assert here.sum() == row["points"] >= 20
            assert fields["stratum_area_km2"][here] == pytest.approx(row["area_km2"])
            assert fields["stratum_weight"][here] == pytest.approx(row["weight"])

    def test_the_order_of_ids_is_random(self, job: DesignSampleJob) -> None:
        design_sample(job, SilentReporter())
        first_half = points_of(job.output)[1]["stratum"][:100]
        assert set(first_half) == {"predicted", "ring", "rest"}

    def test_the_same_seed_gives_the_same_points(self, job: DesignSampleJob) -> None:
        found = []
        for seed in (1, 1, 2):
            design_sample(replace(job, seed=seed), SilentReporter())
            found.append(points_of(job.output)[0])
        assert shapely.equals_exact(found[0], found[1]).all()
        assert not shapely.equals_exact(found[0], found[2]).any()

    def test_probable_background(self, job: DesignSampleJob, tmp_path: Path) -> None:
        values = np.zeros((100, 100))
        values[10:20, 30:40] = 0.6  # 1 km2 far from the outlines
        values[75:80, 20:30] = 0.9  # the first outline itself
        probability = write_probability(tmp_path / "p.tif", values)
        result = design_sample(replace(job, probability=probability), SilentReporter())
        rows = {row["stratum"]: row["area_km2"] for row in result["strata"]}
        assert rows["probable"] == pytest.approx(1 / 0.9996**2, rel=1e-5)
        points, fields = points_of(job.output)
        assert shapely.contains(at(3000, 8000, 4000, 9000), points[fields["stratum"] == "probable"]).all()

    def test_high_moves_with_the_threshold_of_the_model(self, job: DesignSampleJob, tmp_path: Path) -> None:
        values = np.zeros((100, 100))
        values[10:20, 30:40] = 0.06  # 0.3 around 0.5 is 0.045 around 0.1
        values[40:50, 30:40] = 0.04
        probability = write_probability(tmp_path / "p.tif", values)
        with rasterio.open(probability, "r+") as dataset:
            dataset.update_tags(ns=PASSPORT, THRESHOLD="0.1")
        listener = SilentReporter()
        result = design_sample(replace(job, probability=probability), listener)
        assert {row["stratum"]: round(row["area_km2"]) for row in result["strata"]}["probable"] == 1
        assert any("0.0455" in info for info in listener.infos)

    @pytest.mark.parametrize("threshold", [0.3, 0.6])
    def test_a_probability_at_the_threshold_is_high(self, job: DesignSampleJob, tmp_path: Path, threshold: float) -> None:
        values = np.where(np.arange(100) < 5, np.float32(threshold), 0)[None] * np.ones((100, 1))
        probability = write_probability(tmp_path / "p.tif", values)
        result = design_sample(replace(job, probability=probability, high_probability=float(np.float32(threshold))), SilentReporter())
        assert {row["stratum"]: round(row["area_km2"]) for row in result["strata"]}["probable"] == 5

    def test_without_a_ring(self, job: DesignSampleJob) -> None:
        result = design_sample(replace(job, ring_width=0.0), SilentReporter())
        assert [row["stratum"] for row in result["strata"]] == ["predicted", "rest"]

    def test_as_many_points_as_the_standard_error_needs(self, job: DesignSampleJob) -> None:
        wanted = replace(job, size=0, standard_error=0.004, allocation="optimal", min_per_stratum=2)
        result = design_sample(wanted, SilentReporter())
        assert result["anticipated_standard_error"] == pytest.approx(0.004, rel=0.02)
        assert result["anticipated_area_ci_km2"] == pytest.approx(Z95 * 0.004 * 100, rel=0.02)


class TestWhere:
    """Which ground points are drawn on."""

    def test_the_rectangle_of_the_outlines(self, job: DesignSampleJob) -> None:
        listener = SilentReporter()
        result = design_sample(replace(job, area_of_interest=None), listener)
        assert result["area_km2"] == pytest.approx(4.6 * 4.5 / 0.9996**2, rel=1e-4)
        assert any("rectangle that the outlines fill" in info for info in listener.infos)
        assert any("no stratum of probable background" in info for info in listener.infos)
        assert [code for code, _ in listener.warnings] == ["no_area_of_interest"]

    def test_where_the_raster_holds_data(self, job: DesignSampleJob, tmp_path: Path) -> None:
        values = np.full((100, 100), 0.1)
        values[:, :50] = np.nan
        listener = SilentReporter()
        result = design_sample(replace(job, area_of_interest=None, probability=write_probability(tmp_path / "p.tif", values)), listener)
        assert result["area_km2"] == pytest.approx(50 / 0.9996**2, rel=1e-4)
        assert any("holds data" in info for info in listener.infos)

    def test_a_map_without_rock_glaciers(self, job: DesignSampleJob, tmp_path: Path) -> None:
        empty = save(tmp_path / "empty.gpkg", [])
        assert [row["stratum"] for row in design_sample(replace(job, predicted=empty), SilentReporter())["strata"]] == ["rest"]
        with pytest.raises(EngineError, match="where was mapped") as raised:
            design_sample(replace(job, predicted=empty, area_of_interest=None), SilentReporter())
        assert raised.value.code == "nothing_to_sample"

    def test_outlines_elsewhere(self, job: DesignSampleJob, tmp_path: Path) -> None:
        elsewhere = save(tmp_path / "elsewhere.gpkg", [at(50_000, 0, 51_000, 1000)])
        listener = SilentReporter()
        design_sample(replace(job, predicted=elsewhere), listener)
        assert [code for code, _ in listener.warnings] == ["no_overlap"]

    def test_layers_in_several_crs(self, job: DesignSampleJob, tmp_path: Path) -> None:
        degrees = save(tmp_path / "degrees.gpkg", list(read_polygons(job.predicted).in_crs("EPSG:4326").geometries), CRS(4326))
        probability = write_probability(tmp_path / "p.tif", np.zeros((100, 100)))
        plain = design_sample(replace(job, probability=probability), SilentReporter())
        mixed = design_sample(replace(job, probability=probability, predicted=degrees), SilentReporter())
        for one, other in zip(plain["strata"], mixed["strata"], strict=True):
            assert one["area_km2"] == pytest.approx(other["area_km2"], rel=1e-5)

    def test_invalid_outlines_are_repaired_and_counted(self, job: DesignSampleJob, tmp_path: Path) -> None:
        bow_tie = shapely.Polygon([(WEST, SOUTH), (WEST + 1000, SOUTH + 1000), (WEST + 1000, SOUTH), (WEST, SOUTH + 1000)])
        pyogrio.raw.write(
            tmp_path / "bow.gpkg", shapely.to_wkb(np.array([bow_tie])), [], [], driver="GPKG", geometry_type="Polygon", crs="EPSG:32645"
        )
        listener = SilentReporter()
        result = design_sample(replace(job, predicted=str(tmp_path / "bow.gpkg")), listener)
        assert result["strata"][0]["area_km2"] == pytest.approx(0.5 / 0.9996**2, rel=1e-4)
        assert any("1 invalid polygons were repaired" in info for info in listener.infos)

    def test_across_the_antimeridian(self, job: DesignSampleJob, tmp_path: Path) -> None:
        degrees = CRS(4326)
        halves = [shapely.box(179.9, 60, 180, 60.1), shapely.box(-180, 60, -179.9, 60.1)]
        area = save(tmp_path / "a.gpkg", halves, degrees)
        predicted = save(tmp_path / "o.gpkg", [shapely.box(179.99, 60.04, 180, 60.06), shapely.box(-180, 60.04, -179.99, 60.06)], degrees)
        result = design_sample(replace(job, predicted=predicted, area_of_interest=area), SilentReporter())
        assert result["area_km2"] == pytest.approx(geodesic_area(np.array(halves), degrees).sum() / 1e6, rel=1e-4)
        longitude = shapely.get_x(points_of(job.output)[0])
        assert ((np.abs(longitude) >= 179.9) & (np.abs(longitude) <= 180)).all() and (longitude > 0).any() and (longitude < 0).any()

    def test_cancelled(self, job: DesignSampleJob) -> None:
        with pytest.raises(Cancelled):
            design_sample(job, SilentReporter(cancel_after=2))
        assert not Path(job.output).exists()


def stratum(*polygons: shapely.Polygon, without: Sequence[shapely.Polygon] = ()) -> Stratum:
    return Stratum(np.array(polygons, dtype=object), np.array(without, dtype=object), math.nan)


def _ground(box: shapely.Polygon, crs: CRS) -> float:
    """Area of a box that holds a pole, by the scale of its map."""
    left, bottom, right, top = box.bounds
    x, y = (values.ravel() for values in np.meshgrid(np.linspace(left, right, 401), np.linspace(bottom, top, 401)))
    projection = Proj(crs)
    return float(np.mean(1 / projection.get_factors(*projection(x, y, inverse=True)).areal_scale) * box.area)


class TestUniformPoints:
    """As dense on the ground everywhere: the share of points in a part is the part's share of the area, within 4 standard errors."""

    @pytest.mark.parametrize(
        ("crs", "polygon", "part"),
        [
            (4326, shapely.box(10, 0, 20, 80), shapely.box(10, 0, 20, 40)),
            (3857, shapely.box(0, 0, 1e6, 1e7), shapely.box(0, 0, 1e6, 5e6)),
            (32645, shapely.box(2e5, 3e6, 8e5, 3.2e6), shapely.box(4e5, 3e6, 6e5, 3.2e6)),
            (3413, shapely.box(-2e6, -2e6, 2e6, 2e6), shapely.box(-1e6, -1e6, 1e6, 1e6)),
            (4326, shapely.box(175, -50, 190, -10), shapely.box(180, -50, 190, -10)),
        ],
        ids=["degrees", "Web Mercator", "UTM", "around the pole", "across the antimeridian"],
    )
    def test_on_the_ground(self, crs: int, polygon: shapely.Polygon, part: shapely.Polygon) -> None:
        system, count = CRS.from_epsg(crs), 4000
        dense = [shapely.segmentize(shape, max(np.ptp(shape.bounds[::2]), 1) / 500) for shape in (polygon, part)]
        whole, inner = (_ground(shape, system) for shape in dense) if crs == 3413 else geodesic_area(np.array(dense), system)
        points = uniform_points(stratum(polygon), system, count, np.random.default_rng(3), SilentReporter())
        assert len(points) == count and shapely.contains_xy(polygon, points).all()
        share = inner / whole
        assert shapely.contains_xy(part, points).mean() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / count))

    def test_among_several_polygons(self) -> None:
        one, other = at(0, 0, 100, 100), at(500, 0, 800, 100)
        points = uniform_points(stratum(one, other), UTM, 4000, np.random.default_rng(1), SilentReporter())
        assert shapely.contains_xy(other, points).mean() == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / 4000))

    def test_where_polygons_overlap_and_where_others_lie(self) -> None:
        """Two polygons of 200 x 100 share half of each; the middle third of what they cover is not of the stratum."""
        ground = stratum(at(0, 0, 200, 100), at(100, 0, 300, 100), without=[at(130, 0, 170, 100)])
        points = uniform_points(ground, UTM, 5200, np.random.default_rng(1), SilentReporter())
        assert not shapely.contains_xy(ground.without[0], points).any()
        for part, share in ((at(0, 0, 100, 100), 100 / 260), (at(100, 0, 200, 100), 60 / 260), (at(200, 0, 300, 100), 100 / 260)):
            assert shapely.contains_xy(part, points).mean() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 5200))


def label(path: str, truth: shapely.Geometry, output: Path, leave_out: int = 0, cannot_tell: int = 0) -> str:
    """What a person does in QGIS: look at every point."""
    points, fields = points_of(path)
    reference = shapely.contains(truth, points).astype(np.float64)
    reference[len(reference) - leave_out :] = np.nan
    reference[:cannot_tell] = -1
    layer = PolygonLayer(points, UTM, {**fields, "reference": reference})
    write_polygons(output, layer, "labelled", "Point")
    return str(output)


class TestEstimate:
    TRUTH = shapely.union_all([at(2100, 2000, 3100, 2500), at(6000, 6000, 6600, 6500)])
    """The first outline is shifted by 100 m."""

    @pytest.fixture
    def labelled(self, job: DesignSampleJob, tmp_path: Path) -> str:
        design_sample(replace(job, size=2000, min_per_stratum=500), SilentReporter())
        return label(job.output, self.TRUTH, tmp_path / "labelled.gpkg")

    def test_numbers(self, labelled: str, tmp_path: Path) -> None:
        table, document = tmp_path / "estimates.csv", tmp_path / "estimates.json"
        result = estimate_area(EstimateAreaJob(labelled, table=str(table), json=str(document)), SilentReporter())
        ground = 1 / 0.9996**2
        assert result["mapped_area_km2"] == pytest.approx(0.8 * ground, rel=1e-4)
        area = result["area"]
        assert area["estimate"] == pytest.approx(0.8 * ground, abs=4 * area["standard_error"]) and 0 < area["standard_error"] < 0.05
        assert (area["lo"], area["hi"]) == pytest.approx((area["estimate"] - area["ci95"], area["estimate"] + area["ci95"]))
        users = result["users_accuracy"]["rock_glacier"]
        assert users["estimate"] == pytest.approx(0.75 / 0.8, abs=4 * users["standard_error"])
        assert (result["points"], result["unlabelled"], result["cannot_tell"]) == (result["labelled"], 0, 0)
        written = json.loads(document.read_text())
        assert written["area"] == pytest.approx(area) and set(written["definitions"]) >= {"area", "overall_accuracy"}
        rows = read_table(table)
        assert list(rows["quantity"]) == ["area", "mapped_area", "overall_accuracy"] + ["users_accuracy"] * 2 + ["producers_accuracy"] * 2
        assert float(rows["estimate"][0]) == pytest.approx(area["estimate"]) and rows["standard_error"][1] == ""

    def test_all_outputs_appear_or_none(self, labelled: str, tmp_path: Path) -> None:
        job = EstimateAreaJob(labelled, table=str(tmp_path / "estimates.csv"), json=str(tmp_path / "no folder" / "estimates.json"))
        with pytest.raises(EngineError) as raised:
            estimate_area(job, SilentReporter())
        assert raised.value.code == "output_folder"
        assert not (tmp_path / "estimates.csv").exists()

    def test_a_stratum_without_a_find_is_told(self, labelled: str) -> None:
        listener = SilentReporter()
        notes = estimate_area(EstimateAreaJob(labelled), listener)["notes"]
        assert len(notes) == 1 and "stratum rest is rock glacier" in notes[0] and "95 %" in notes[0]
        assert listener.warnings == [("estimate", notes[0])]

    def test_unlabelled_points_are_left_out_and_counted(self, job: DesignSampleJob, tmp_path: Path) -> None:
        design_sample(job, SilentReporter())
        path = label(job.output, self.TRUTH, tmp_path / "l.gpkg", leave_out=10, cannot_tell=5)
        listener = SilentReporter()
        result = estimate_area(EstimateAreaJob(path), listener)
        assert (result["unlabelled"], result["cannot_tell"], result["labelled"]) == (10, 5, result["points"] - 15)
        assert any("10 of" in text for _, text in listener.warnings) and any("cannot be told" in text for _, text in listener.warnings)

    def test_labels_as_text_in_a_csv(self, labelled: str, tmp_path: Path) -> None:
        fields = read_table(labelled)
        lines = ["stratum,stratum_area_km2,predicted,seen"]
        lines += [
            f"{name},{area},{predicted},{reference:g}"
            for name, area, predicted, reference in zip(
                *(fields[name] for name in ("stratum", "stratum_area_km2", "predicted", "reference")), strict=True
            )
        ]
        (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
        found = estimate_area(EstimateAreaJob(str(tmp_path / "labels.csv"), reference_field="seen"), SilentReporter())
        assert found["area"] == pytest.approx(estimate_area(EstimateAreaJob(labelled), SilentReporter())["area"])

    def test_a_stratum_that_is_all_rock_glacier_is_told(self, job: DesignSampleJob, tmp_path: Path) -> None:
        design_sample(job, SilentReporter())
        path = label(job.output, shapely.union_all(OUTLINES), tmp_path / "l.gpkg")
        notes = estimate_area(EstimateAreaJob(path), SilentReporter())["notes"]
        assert "of the stratum predicted is background" in notes[0] and len(notes) == 3

    def test_few_finds_are_told(self, tmp_path: Path) -> None:
        reference = np.array([1, 1, 0] + [1, 0, 0, 0, 0])
        fields = {
            "stratum": np.array(["predicted"] * 3 + ["rest"] * 5, object),
            "stratum_area_km2": np.array([1.0] * 3 + [9.0] * 5),
            "predicted": np.array([1] * 3 + [0] * 5),
            "reference": reference,
        }
        write_polygons(tmp_path / "s.gpkg", PolygonLayer(shapely.points(np.zeros((8, 2))), UTM, fields), "s", "Point")
        notes = estimate_area(EstimateAreaJob(str(tmp_path / "s.gpkg")), SilentReporter())["notes"]
        assert "Only 1 of the 3 points of the stratum predicted are background" in notes[0]
        assert "Only 1 of the 5 points of the stratum rest are rock glacier" in notes[1]

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"reference": np.full(4, np.nan)}, "not_labelled"),
            ({"reference": np.array([0, 1, 2, 0])}, "bad_labels"),
            ({"reference": np.array(["1", "0", "maybe", ""], object)}, "bad_labels"),
            ({"predicted": np.array([1, 1, 0, 3])}, "bad_labels"),
            ({"stratum": None}, "no_field"),
            ({"stratum_area_km2": np.array([1.0, 2, 9, 9])}, "bad_strata"),
            ({"stratum_area_km2": np.array([0.0, 0, 9, 9])}, "bad_strata"),
            ({"stratum_weight": np.array([0.1, 0.1, 0.5, 0.5])}, "bad_strata"),
        ],
        ids=["no label", "unknown label", "words", "map class", "no stratum", "two areas", "no area", "stratum gone"],
    )
    def test_what_is_no_sample(self, tmp_path: Path, changes: dict[str, Any], code: str) -> None:
        fields = {
            "stratum": np.array(["predicted", "predicted", "rest", "rest"], object),
            "stratum_area_km2": np.array([1.0, 1, 9, 9]),
            "predicted": np.array([1, 1, 0, 0]),
            "reference": np.array([1, 0, 0, 0]),
        }
        fields = {name: values for name, values in {**fields, **changes}.items() if values is not None}
        write_polygons(tmp_path / "s.gpkg", PolygonLayer(shapely.points(np.zeros((4, 2))), UTM, fields), "s", "Point")
        with pytest.raises(EngineError) as raised:
            estimate_area(EstimateAreaJob(str(tmp_path / "s.gpkg")), SilentReporter())
        assert raised.value.code == code

    def test_one_point_in_a_stratum(self, tmp_path: Path) -> None:
        fields = {
            "stratum": np.array(["predicted", "predicted", "rest"], object),
            "stratum_area_km2": np.array([1.0, 1, 9]),
            "predicted": np.array([1, 1, 0]),
            "reference": np.array([1, 0, 0]),
        }
        write_polygons(tmp_path / "s.gpkg", PolygonLayer(shapely.points(np.zeros((3, 2))), UTM, fields), "s", "Point")
        result = estimate_area(EstimateAreaJob(str(tmp_path / "s.gpkg"), json=str(tmp_path / "e.json")), SilentReporter())
        assert result["area"]["estimate"] == pytest.approx(0.5) and math.isnan(result["area"]["standard_error"])
        assert json.loads((tmp_path / "e.json").read_text())["area"]["standard_error"] is None
        assert any("there is no standard error" in note for note in result["notes"])


class TestRepeatedSamples:
    """A landscape of known truth, 200 samples of one design: the estimator is unbiased and its intervals hold what they promise."""

    REPEATS, POINTS = 200, np.array([100, 150, 100, 50])

    def test_mean_and_coverage(self, tmp_path: Path) -> None:
        random = np.random.default_rng(7)
        centres, radii = random.uniform(500, 9500, (40, 2)), random.uniform(100, 300, 40)
        bodies = [(WEST + x, SOUTH + y, r) for (x, y), r in zip(centres, radii, strict=True)]
        truth = shapely.union_all([shapely.Point(x, y).buffer(r) for x, y, r in bodies])
        mapped = [shapely.Point(x + 40, y).buffer(0.9 * r) for x, y, r in bodies[:32]]  # shifted, too small, a fifth of them missed
        suspected = shapely.union_all([shapely.Point(x, y).buffer(2 * r) for x, y, r in bodies[28:]])
        x, y = np.meshgrid(WEST + np.arange(25, 10_000, 50), SOUTH + 10_000 - np.arange(25, 10_000, 50))
        probability = write_probability(tmp_path / "p.tif", 0.5 * shapely.contains_xy(suspected, x, y), pixel=50)
        job = DesignSampleJob("", "", probability=probability, ring_width=150.0)
        layers = (PolygonLayer(np.array(shapes, dtype=object), UTM) for shapes in (mapped, [AREA]))
        strata = lay_out_strata(job, *layers, SilentReporter())
        assert list(strata.strata) == ["predicted", "ring", "probable", "rest"]
        true_km2 = float(geodesic_area(np.array([truth]), UTM)[0]) / 1e6
        area = strata.area_m2 / 1e6
        found = []
        for seed in range(self.REPEATS):
            places, stratum = draw(strata, self.POINTS, np.random.default_rng(seed), SilentReporter())
            counts = np.zeros((4, 2, 2), np.int64)
            np.add.at(counts, (stratum, (stratum > 0).astype(int), (~shapely.contains_xy(truth, places)).astype(int)), 1)
            estimates = estimate(area, counts)
            found.append((estimates.class_share[0] * area.sum(), estimates.class_share_se[0] * area.sum()))
        estimated, error = np.array(found).T
        assert estimated.mean() == pytest.approx(true_km2, abs=3 * estimated.std(ddof=1) / math.sqrt(self.REPEATS))
        assert error.mean() == pytest.approx(estimated.std(ddof=1), rel=3 / math.sqrt(2 * self.REPEATS))
        covered = (np.abs(estimated - true_km2) <= Z95 * error).mean()
        assert covered == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / self.REPEATS))


def test_the_ground_of_a_degree_is_measured_on_the_ellipsoid(tmp_path: Path) -> None:
    """An area of 10 x 5 degrees: its parallels are no geodesics."""
    predicted = save(tmp_path / "o.gpkg", [shapely.box(84, 30, 84.01, 30.01)], CRS(4326))
    area = save(tmp_path / "a.gpkg", [shapely.box(80, 28, 90, 33)], CRS(4326))
    job = DesignSampleJob(predicted, str(tmp_path / "p.gpkg"), area_of_interest=area, size=20, min_per_stratum=2)
    parallels = [np.linspace(80, 90, 2001), np.linspace(90, 80, 2001)]
    ring = np.column_stack([np.concatenate(parallels), np.repeat([28.0, 33.0], 2001)])
    true_m2 = abs(Geod(ellps="WGS84").polygon_area_perimeter(ring[:, 0], ring[:, 1])[0])
    assert design_sample(job, SilentReporter())["area_km2"] == pytest.approx(true_m2 / 1e6, rel=1e-6)
