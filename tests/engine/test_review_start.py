"""A session is made from outlines: relations, figures, order, tiles and tables as the dock expects them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from pyproj import CRS

import review_session as form
from engine.cli import run_job
from engine.errors import Cancelled, EngineError
from engine.reporting import SilentReporter
from engine.review_file import Session, write_session
from engine.review_queue import WEIGHTS, own_fields, parts_beyond_necks, priority
from engine.review_start import start_review
from engine.review_tiles import MOST_TILES, tile_grid
from engine.vectors import PolygonLayer, reproject, write_polygons
from jobs import StartReviewJob
from tests.engine.reviews import UTM, box, read, rows_of
from tests.engine.scenes import write_raster

DEGREES = CRS(4326)
PREDICTED = {
    "same": box(0, 0),
    "shifted": box(1000, 0),
    "united": box(2000, 0, 450),
    "first half": box(3000, 0, 200),
    "second half": box(3250, 0, 200),
    "false": box(5000, 0, 300, 300),
}
MANUAL = {
    "same too": box(0, 0),
    "moved": box(1040, 0),
    "left twin": box(2000, 0, 200),
    "right twin": box(2250, 0, 200),
    "whole": box(3000, 0, 450),
    "missed": box(7000, 0, 100, 400),
}


def save(path: Path, outlines: Any, crs: CRS = UTM, **fields: Any) -> str:
    geometries = np.array(list(outlines), dtype=object)
    columns = {name: column if isinstance(column, np.ndarray) else np.array(column) for name, column in fields.items()}
    write_polygons(path, PolygonLayer(geometries, crs, columns), path.stem)
    return str(path)


@pytest.fixture
def layers(tmp_path: Path) -> tuple[str, str]:
    """Predicted and manual outlines with one case of each relation but n-m."""
    predicted = save(tmp_path / "predicted.gpkg", PREDICTED.values(), id=list(PREDICTED), score=np.arange(6.0))
    return predicted, save(tmp_path / "manual.gpkg", MANUAL.values(), id=list(MANUAL), activity=["active"] * 6)


def start(folder: Path, predicted: str, reporter: SilentReporter | None = None, **options: Any) -> tuple[dict[str, Any], Session]:
    path = str(folder / "review.gpkg")
    result = start_review(StartReviewJob(predicted, path, **options), reporter or SilentReporter())
    return result, read(path)


def by_name(session: Session) -> dict[str, dict[str, Any]]:
    return {row["source_id"]: row for row in rows_of(session).values()}


def test_the_known_case(layers, tmp_path):
    result, session = start(tmp_path, layers[0], manual=layers[1], operator="Ada")
    rows = by_name(session)
    assert {name: row["relation"] for name, row in rows.items()} == {
        **{"same": "1-1", "shifted": "1-1", "united": "n-1", "first half": "1-n", "second half": "1-n"},
        **{"false": "false", "missed": "missed"},
    }
    assert result["relations"] == {"1-1": 2, "n-1": 1, "1-n": 2, "n-m": 0, "missed": 1, "false": 1}
    assert (result["count"], result["predicted"], result["manual"], result["missed"]) == (7, 6, 6, 1)
    assert {row["status"] for row in rows.values()} == {"unreviewed"}
    assert rows["missed"]["source"] == "manual" and rows["same"]["source"] == "predicted"
    assert rows["same"]["iou"] == pytest.approx(1) and rows["same"]["boundary_distance_m"] == pytest.approx(0, abs=1e-6)
    assert rows["shifted"]["iou"] == pytest.approx(160 / 240, abs=1e-6)
    assert rows["shifted"]["boundary_distance_m"] == pytest.approx(20, abs=1.5)  # ends 40 m off, sides 40 m of 200 without a counterpart
    assert rows["united"]["area_deviation"] == pytest.approx(12.5, abs=1e-3)
    assert rows["first half"]["area_deviation"] == rows["second half"]["area_deviation"] == pytest.approx(-100 / 9, abs=1e-3)
    for name in ("false", "missed"):
        assert rows[name]["iou"] is rows[name]["area_deviation"] is rows[name]["boundary_distance_m"] is None
    assert rows["united"]["merge_suspect"] == pytest.approx(1) and result["suspects"] == 1
    assert rows["same"]["merge_suspect"] == 0 and rows["missed"]["merge_suspect"] is None
    assert session.settings["operator"] == "Ada"


def test_components_are_the_same_in_all_layers(layers, tmp_path):
    _, session = start(tmp_path, layers[0], manual=layers[1])
    of = {
        layer: dict(zip(session.layers[layer].fields["name"], session.layers[layer].fields["component"].tolist(), strict=True))
        for layer in (form.PREDICTED, form.REFERENCE)
    }
    rows = by_name(session)
    for ours, theirs in (("same", "same too"), ("united", "left twin"), ("united", "right twin"), ("second half", "whole")):
        assert rows[ours]["component"] == of[form.PREDICTED][ours] == of[form.REFERENCE][theirs]
    assert rows["missed"]["component"] == of[form.REFERENCE]["missed"]
    assert len({row["component"] for row in rows.values()}) == 6


def test_the_form_of_the_file(layers, tmp_path):
    start(tmp_path, layers[0], manual=layers[1])
    path = tmp_path / "review.gpkg"
    tables = (form.OUTLINES, form.RESTRICTED, form.PREDICTED, form.REFERENCE, form.TILES, form.JOURNAL, form.SETTINGS)
    assert [name for name, _ in pyogrio.list_layers(path)] == list(tables)
    info = pyogrio.read_info(path, layer=form.OUTLINES)
    expected = (*form.REVIEW_FIELDS, *form.ATTRIBUTES)
    kinds = {"text": "object", "integer": "int32", "real": "float64"}
    assert list(zip(info["fields"], info["dtypes"], strict=True))[: len(expected)] == [(name, kinds[kind]) for name, kind in expected]
    assert list(info["fields"])[len(expected) :] == ["id", "score"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (10200,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        kinds = dict(connection.execute("SELECT table_name, data_type FROM gpkg_contents"))
        assert {kinds[name] for name in (form.JOURNAL, form.SETTINGS)} == {"attributes"}
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({form.JOURNAL})")]
        assert columns == [name for name, _ in form.JOURNAL_FIELDS]


def test_uids_are_unique_over_sessions(layers, tmp_path):
    uids = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        uids += list(rows_of(start(tmp_path / name, layers[0])[1]))
    assert len(set(uids)) == 12 and all(len(uid) >= 12 and int(uid, 16) >= 0 for uid in uids)


def test_without_manual_outlines_nothing_is_said_of_them(layers, tmp_path):
    result, session = start(tmp_path, layers[0])
    rows = by_name(session)
    assert result["manual"] is result["relations"] is None and result["missed"] == 0
    assert {row["relation"] for row in rows.values()} == {None} and {row["iou"] for row in rows.values()} == {None}
    assert sorted(row["component"] for row in rows.values()) == list(range(1, 7))
    assert len(session.layers[form.REFERENCE]) == 0 and "manual" not in session.settings


def test_a_manual_layer_without_outlines_makes_all_false(layers, tmp_path):
    reporter = SilentReporter()
    empty = tmp_path / "empty.gpkg"
    write_polygons(empty, PolygonLayer(np.empty(0, dtype=object), UTM), "empty")
    _, session = start(tmp_path, layers[0], reporter, manual=str(empty))
    assert {row["relation"] for row in rows_of(session).values()} == {"false"}
    assert "no_outlines" in dict(reporter.warnings)


def test_without_predicted_outlines_there_is_a_session_to_draw_in(tmp_path):
    reporter = SilentReporter()
    empty = tmp_path / "empty.gpkg"
    write_polygons(empty, PolygonLayer(np.empty(0, dtype=object), UTM), "empty")
    imagery = write_raster(tmp_path / "imagery.tif", np.ones((1, 300, 450), np.uint8))
    result, session = start(tmp_path, str(empty), reporter, imagery=imagery)
    assert (result["count"], result["tiles"]) == (0, 6) and session.crs == UTM
    assert "no_outlines" in dict(reporter.warnings)
    assert set(pyogrio.read_info(result["output"], layer=form.OUTLINES)["fields"]) >= {name for name, _ in form.REVIEW_FIELDS}


def test_own_fields_travel_and_give_way_to_those_of_a_review(tmp_path):
    fields = {
        "status": ["kept", "new"],
        "Comment": ["steep", "flat"],
        "PrimaryID": ["RGU281527N0972426E", "RGU281528N0972427E"],
        "reliability_front": np.array([2, 1]),
        "count": np.array([3, 4], dtype=np.int64),
        "good": np.array([True, False]),
    }
    predicted = save(tmp_path / "predicted.gpkg", [box(0, 0), box(500, 0)], **fields)
    manual = save(tmp_path / "manual.gpkg", [box(0, 0), box(900, 0)], count=[7, 8], mood=["a", "b"])
    first, _, missed = rows_of(start(tmp_path, predicted, manual=manual)[1]).values()
    assert (first["status"], first["input_status"], first["input_Comment"]) == ("unreviewed", "kept", "steep")
    assert first["primary_id"] == first["source_id"] == "RGU281527N0972426E" and "PrimaryID" not in first
    assert missed["count"] == 8 and missed["reliability_front"] is None and missed["good"] is None and "mood" not in missed
    info = pyogrio.read_info(tmp_path / "review.gpkg", layer=form.OUTLINES)
    dtypes = dict(zip(info["fields"], info["dtypes"], strict=True))
    assert (dtypes["count"], dtypes["good"], dtypes["reliability_front"]) == ("int64", "bool", "int32")
    assert read(str(tmp_path / "review.gpkg")).layers[form.REFERENCE].fields["mood"].tolist() == ["a", "b"]


def test_names_are_given_way_twice():
    fields = {"status": np.array(["a"]), "input_status": np.array(["b"]), "fid": np.array([1])}
    assert {name: column[0] for name, column in own_fields(fields).items()} == {
        "input_status": "a",
        "input_input_status": "b",
        "input_fid": 1,
    }


class TestProbability:
    @pytest.fixture
    def raster(self, tmp_path):
        """0.9 in the west, 0.6 in the east of the second box."""
        values = np.full((1, 60, 100), 0.9, np.float32)
        values[:, :, 50:] = 0.6
        transform = Affine(10, 0, 500_000, 0, -10, 3_000_400)
        return write_raster(tmp_path / "probability.tif", values, transform=transform)

    def test_of_the_raster(self, raster, tmp_path):
        predicted = save(tmp_path / "predicted.gpkg", [box(0, 0), box(400, 0), box(9000, 0)])
        result, session = start(tmp_path, predicted, probability=raster)
        found = [row["probability"] for row in rows_of(session).values()]
        assert found[:2] == pytest.approx([0.9, 0.75]) and found[2] is None and result["without_probability"] == 1

    def test_of_the_field_first(self, raster, tmp_path):
        means = np.ma.array([0.8, 0.0], mask=[False, True])
        predicted = save(tmp_path / "predicted.gpkg", [box(0, 0), box(400, 0)], probability_mean=means)
        assert [row["probability"] for row in rows_of(start(tmp_path, predicted, probability=raster)[1]).values()] == pytest.approx(
            [0.8, 0.75]
        )

    def test_unknown(self, layers, tmp_path):
        result, session = start(tmp_path, layers[0])
        assert result["without_probability"] == 6 and {row["probability"] for row in rows_of(session).values()} == {None}

    def test_other_values_are_refused(self, layers, tmp_path):
        raster = write_raster(
            tmp_path / "percent.tif", np.full((1, 60, 60), 80, np.uint8), transform=Affine(10, 0, 500_000, 0, -10, 3_000_400)
        )
        with pytest.raises(EngineError) as raised:
            start(tmp_path, layers[0], probability=raster)
        assert raised.value.code == "not_probability"


@pytest.mark.parametrize(
    ("outline", "least", "most"),
    [
        pytest.param(box(0, 0, 200, 200), 0, 0, id="a square"),
        pytest.param(box(0, 0, 900, 120), 0, 0, id="a tongue"),
        pytest.param(shapely.union_all([box(0, 0, 200, 200), box(200, 90, 60, 20), box(260, 0, 200, 200)]), 0.99, 1, id="two by a bridge"),
        pytest.param(
            shapely.union_all([box(0, 0, 300, 300), box(300, 90, 60, 20), box(360, 50, 140, 140)]), 0.1, 0.6, id="a small one beside"
        ),
        pytest.param(shapely.MultiPolygon([box(0, 0), box(500, 0)]), 0.99, 1, id="two parts"),
    ],
)
def test_necks(outline, least, most):
    (in_metres,) = parts_beyond_necks(np.array([outline]), UTM)
    assert least - 1e-9 <= in_metres <= most + 1e-9
    (in_degrees,) = parts_beyond_necks(reproject(np.array([outline]), UTM, DEGREES), DEGREES)
    assert in_degrees == pytest.approx(in_metres, abs=0.01)


class TestPriority:
    def of(self, disagreement=np.nan, probability=np.nan, deviation=np.nan, merged=np.nan, area=0.0):
        return float(priority(*(np.array([float(value)]) for value in (disagreement, probability, deviation, merged, area)))[0])

    def test_nothing_known(self):
        assert self.of() == 0

    @pytest.mark.parametrize(
        ("evidence", "weight"),
        [
            ({"disagreement": 1}, "disagreement"),
            ({"probability": 0.5}, "doubt"),
            ({"probability": 0.1}, "doubt"),
            ({"deviation": -100}, "area_deviation"),
            ({"deviation": 900}, "area_deviation"),
            ({"merged": 1}, "merged"),
            ({"area": 5e6}, "size"),
        ],
    )
    def test_one_piece_of_evidence_has_its_weight(self, evidence, weight):
        assert self.of(**evidence) == pytest.approx(WEIGHTS[weight])

    def test_evidence_adds_up_below_one(self):
        both = self.of(disagreement=1, merged=1)
        assert both == pytest.approx(1 - 0.4 * 0.4)
        assert both < self.of(disagreement=1, merged=1, probability=0.2, deviation=300, area=1e7) < 1

    @pytest.mark.parametrize(
        ("probability", "threshold", "doubt"), [(0.1, 0.1, 1), (0.5, 0.1, 0.2), (1, 0.1, 0), (0.75, 0.75, 1), (0.9, 0.75, 0.5)]
    )
    def test_doubt_begins_at_the_threshold(self, probability, threshold, doubt):
        unknown = np.array([np.nan])
        found = priority(unknown, np.array([float(probability)]), unknown, unknown, np.zeros(1), threshold)
        assert found == pytest.approx(WEIGHTS["doubt"] * doubt)

    def test_what_is_certain_comes_last(self):
        assert self.of(disagreement=0, probability=1, deviation=0, merged=0) == 0

    def test_in_a_session(self, layers, tmp_path):
        rows = by_name(start(tmp_path, layers[0], manual=layers[1])[1])
        order = sorted(rows, key=lambda name: -rows[name]["priority"])
        assert order[-1] == "same" and set(order[:3]) == {"united", "false", "missed"}


class TestTiles:
    def test_a_grid_in_metres(self):
        layer, size = tile_grid(np.array([box(0, 0, 2500, 900)]), UTM, 1000)
        assert size == 1000 and len(layer) == 3
        assert layer.fields["row"].tolist() == [0, 0, 0] and layer.fields["col"].tolist() == [0, 1, 2]
        assert shapely.total_bounds(layer.geometries) == pytest.approx([500_000, 2_999_900, 503_000, 3_000_900], abs=8)

    def test_only_what_the_area_touches(self):
        area = np.array([box(0, 0, 900, 900), box(2100, 2100, 900, 900)])
        layer, _ = tile_grid(area, UTM, 1000)
        assert list(zip(layer.fields["row"].tolist(), layer.fields["col"].tolist(), strict=True)) == [(0, 2), (2, 0)]

    def test_metres_in_degrees(self):
        area = reproject(np.array([box(0, 0, 3900, 3900)]), UTM, DEGREES)
        layer, _ = tile_grid(area, DEGREES, 2000)
        assert len(layer) == 4
        sides = np.diff(shapely.bounds(reproject(layer.geometries, DEGREES, UTM))[:, [0, 2]], axis=1)
        assert sides.ravel() == pytest.approx([2000] * 4, rel=0.01)

    def test_too_many_are_enlarged(self):
        layer, size = tile_grid(np.array([box(0, 0, 900_000, 900_000)]), UTM, 100)
        assert 0.7 * MOST_TILES < len(layer) <= MOST_TILES and 8900 < size < 12_000

    def test_no_area_no_tiles(self):
        assert len(tile_grid(np.empty(0, dtype=object), UTM, 1000)[0]) == 0

    def test_the_area_of_interest_rules(self, layers, tmp_path):
        area = save(tmp_path / "area.gpkg", reproject(np.array([box(0, 0, 1900, 900)]), UTM, DEGREES), DEGREES)
        result, session = start(tmp_path, layers[0], area_of_interest=area, tile_size=1000)
        assert result["tiles"] == len(session.layers[form.TILES]) == 2 and result["tile_size"] == 1000

    def test_imagery_and_outlines(self, layers, tmp_path):
        result, _ = start(tmp_path, layers[0], tile_size=2000)
        assert result["tiles"] == 3  # 5300 m of outlines
        imagery = write_raster(
            tmp_path / "imagery.tif", np.ones((1, 100, 100), np.uint8), transform=Affine(100, 0, 500_000, 0, -100, 3_005_000)
        )
        assert start(tmp_path, layers[0], tile_size=2000, imagery=imagery)[0]["tiles"] == 25

    def test_imagery_across_the_antimeridian(self, tmp_path):
        zone = CRS(32601)
        middle = reproject(np.array([shapely.Point(180, 66)], dtype=object), DEGREES, zone)[0]
        x, y = middle.x, middle.y
        outlines = [shapely.box(x + east, y, x + east + 300, y + 300) for east in (-2000, 1500)]
        predicted = save(tmp_path / "predicted.gpkg", reproject(np.array(outlines, dtype=object), zone, DEGREES), DEGREES)
        transform = Affine(20, 0, x - 3000, 0, -20, y + 2000)
        imagery = write_raster(tmp_path / "imagery.tif", np.ones((1, 200, 300), np.uint8), transform=transform, crs="EPSG:32601")
        result, session = start(tmp_path, predicted, tile_size=1000, imagery=imagery)
        assert result["tile_size"] == 1000 and 24 <= result["tiles"] <= 40
        bounds = shapely.total_bounds(session.layers[form.TILES].geometries)
        assert bounds[2] - bounds[0] < 0.2 and shapely.covers(shapely.box(*bounds), session.outlines.geometries).all()


def test_restricted_outlines_find_their_own(layers, tmp_path):
    reporter = SilentReporter()
    restricted = save(tmp_path / "restricted.gpkg", [box(1020, 20, 150, 150), box(9000, 0), box(20, 20, 100, 100)])
    result, session = start(tmp_path, layers[0], reporter, restricted=restricted)
    rows = by_name(session)
    layer = session.layers[form.RESTRICTED]
    assert result["restricted"] == 2 and layer.fields["uid"].tolist() == [rows["shifted"]["uid"], rows["same"]["uid"]]
    assert shapely.area(layer.geometries) == pytest.approx([22_500, 10_000])
    assert dict(reporter.warnings)["restricted_alone"].startswith("1 restricted")


def test_multipart_invalid_and_tiny_outlines(tmp_path):
    bow = shapely.Polygon([(500_000, 3_000_000), (500_200, 3_000_200), (500_200, 3_000_000), (500_000, 3_000_200)])
    sliver = shapely.Polygon([(501_000, 3_000_000), (501_300, 3_000_000), (501_300, 3_000_000.01)])
    outlines = [shapely.MultiPolygon([box(2000, 0), box(2300, 0)]), bow, sliver]
    reporter = SilentReporter()
    predicted = tmp_path / "predicted.gpkg"
    write_polygons(predicted, PolygonLayer(np.array(outlines, dtype=object), UTM), "predicted", "MultiPolygon")
    manual = save(tmp_path / "manual.gpkg", [box(2000, 0, 500)])
    result, session = start(tmp_path, str(predicted), reporter, manual=manual)
    assert result["count"] == 3 and shapely.is_valid(session.outlines.geometries).all()
    assert [row["relation"] for row in rows_of(session).values()] == ["1-1", "false", "false"]
    assert [row["merge_suspect"] for row in rows_of(session).values()] == pytest.approx([1, 1, 0])
    assert any("repaired" in text for text in reporter.infos)


def test_any_crs(layers, tmp_path):
    predicted = save(tmp_path / "degrees.gpkg", reproject(np.array(list(PREDICTED.values())), UTM, DEGREES), DEGREES, id=list(PREDICTED))
    _, session = start(tmp_path, predicted, manual=layers[1])
    rows = by_name(session)
    assert session.crs == DEGREES and rows["shifted"]["iou"] == pytest.approx(160 / 240, abs=1e-4)
    assert rows["shifted"]["boundary_distance_m"] == pytest.approx(20, abs=1.5)


def test_a_layer_beyond_the_map_is_refused(layers, tmp_path):
    far = save(tmp_path / "far.gpkg", [shapely.segmentize(shapely.box(-180, -90, 180, 90), 1)], DEGREES)
    with pytest.raises(EngineError) as raised:
        start(tmp_path, layers[0], manual=far)
    assert raised.value.code == "crs_place" and "far.gpkg" in raised.value.text


@pytest.mark.parametrize("side", ["predicted", "manual"])
def test_a_crs_without_a_place_is_refused(layers, tmp_path, side):
    site = CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
    local = save(tmp_path / "site.gpkg", PREDICTED.values(), site)
    with pytest.raises(EngineError) as raised:
        start(tmp_path, local if side == "predicted" else layers[0], manual=local if side == "manual" else layers[1])
    assert raised.value.code == "crs_local" and "site.gpkg" in raised.value.text


class TestOutput:
    def test_files_are_named_so_that_the_folder_may_move(self, layers, tmp_path):
        _, session = start(tmp_path, layers[0], manual=layers[1])
        moved = tmp_path.parent / (tmp_path.name + " moved")
        tmp_path.rename(moved)
        assert Path(form.found_path(session.settings["manual"], str(moved / "review.gpkg"))) == moved / "manual.gpkg"
        assert session.settings["predicted_state"] == form.file_state(str(moved / "predicted.gpkg"))

    def test_an_existing_file_is_replaced_whole_or_not_at_all(self, layers, tmp_path):
        output = tmp_path / "review.gpkg"
        output.write_text("something else")
        with pytest.raises(Cancelled):
            start(tmp_path, layers[0], SilentReporter(cancel_after=5))
        assert output.read_text() == "something else" and len(list(tmp_path.iterdir())) == 3
        assert len(start(tmp_path, layers[0])[1].outlines) == 6

    def test_a_session_with_decisions_is_not_replaced(self, layers, tmp_path):
        _, session = start(tmp_path, layers[0])
        session.outlines.fields["status"][0] = "accepted"
        output = tmp_path / "review.gpkg"
        output.unlink()
        write_session(output, session)
        with pytest.raises(EngineError) as raised:
            start(tmp_path, layers[0])
        assert raised.value.code == "review_exists" and "1 decisions" in raised.value.text

    def test_a_session_without_decisions_is(self, layers, tmp_path):
        first = start(tmp_path, layers[0])[1].settings["session"]
        assert start(tmp_path, layers[0])[1].settings["session"] != first

    def test_inputs_are_not_touched(self, layers, tmp_path):
        before = [Path(path).read_bytes() for path in layers]
        start(tmp_path, layers[0], manual=layers[1])
        assert [Path(path).read_bytes() for path in layers] == before


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"imagery": "nowhere.tif"}, "file_missing"),
        ({"manual": "nowhere.gpkg"}, "file_missing"),
        ({"tile_size": -1.0}, "parameter"),
    ],
)
def test_bad_input_is_named(layers, tmp_path, options, code):
    with pytest.raises(EngineError) as raised:
        run_job(StartReviewJob(layers[0], str(tmp_path / "review.gpkg"), **options), SilentReporter())
    assert raised.value.code == code and not (tmp_path / "review.gpkg").exists()
