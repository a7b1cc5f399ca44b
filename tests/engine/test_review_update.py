"""A new detection comes into a session: decisions stay, the rest of the queue is made anew."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

import review_session as form
from engine.cli import run_job
from engine.columns import objects
from engine.errors import Cancelled, EngineError
from engine.outputs import whole_file
from engine.reporting import SilentReporter
from engine.review_file import JOURNAL_COLUMNS, Session, write_session
from engine.review_start import start_review
from engine.review_update import update_review
from engine.vectors import PolygonLayer, reproject, write_polygons
from jobs import StartReviewJob, UpdateReviewJob
from tests.engine.reviews import UTM, Review, box, read, rows_of
from tests.engine.scenes import write_raster

NONE = {"found": 0, "lost": 0, "moved": 0, "unchanged": 0, "decided": 0}


def save(path: Path, outlines: dict[str, shapely.Polygon], crs: CRS = UTM, **fields: Any) -> str:
    geometries = reproject(np.array(list(outlines.values()), dtype=object), UTM, crs)
    columns = {"id": np.array(list(outlines), dtype=object), **{name: np.array(values) for name, values in fields.items()}}
    write_polygons(path, PolygonLayer(geometries, crs, columns), path.stem)
    return str(path)


class Case:
    """A session in a folder, and new inputs for it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.reporter = folder, folder / "review.gpkg", SilentReporter()

    def start(self, predicted: dict[str, shapely.Polygon], manual: dict[str, shapely.Polygon] | None = None, **fields: Any) -> None:
        path = save(self.folder / "predicted.gpkg", predicted, **fields)
        drawn = None if manual is None else save(self.folder / "manual.gpkg", manual)
        start_review(StartReviewJob(path, str(self.path), manual=drawn), SilentReporter())

    def rows(self) -> dict[str, dict[str, Any]]:
        """By what the outlines are called."""
        return {row["source_id"]: row for row in rows_of(read(str(self.path))).values()}

    def change(self, name: str, geometry: shapely.Polygon | None = None, journal: bool = True, **values: Any) -> str:
        """A person does something to an outline; its uid."""
        session = read(str(self.path))
        outlines = session.outlines
        (row,) = np.flatnonzero(outlines.fields["source_id"] == name)
        uid = outlines.fields["uid"][row]
        fields = dict(outlines.fields)
        for field, value in values.items():
            fields[field] = objects(fields[field])
            fields[field][row] = value
        if geometry is not None:
            outlines.geometries[row] = geometry
        entry = dict.fromkeys(JOURNAL_COLUMNS) | {"id": len(session.journal) + 1, "command": 1, "at": "2026-11-20T10:00:00.000Z"}
        entry |= {"operator": "Ada", "run": "r", "layer": "outlines", "uid": uid, "action": "accept", "undone": 0, "saved": 1}
        entry |= {"after": json.dumps(values), "seconds": 2.5}
        layers = {**session.layers, form.OUTLINES: replace(outlines, fields=fields)}
        self.write(replace(session, layers=layers, journal=[*session.journal, *([entry] if journal else [])]))
        return uid

    def write(self, session: Session) -> None:
        with whole_file(self.path) as place:
            write_session(place, session)

    def update(self, predicted: dict[str, shapely.Polygon] | None = None, **options: Any) -> dict[str, Any]:
        new = None if predicted is None else save(self.folder / "new.gpkg", predicted, options.pop("crs", UTM), **options.pop("fields", {}))
        output = options.pop("output", str(self.path))
        return update_review(UpdateReviewJob(str(self.path), output, predicted=new, **options), self.reporter)

    def checksum(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_found_lost_moved_unchanged(case):
    case.start({"stays": box(0, 0), "wanders": box(1000, 0), "goes": box(2000, 0)})
    before = case.rows()
    result = case.update({"1": box(1, 0), "2": box(1100, 0), "3": box(5000, 0)})
    after = case.rows()
    assert result["predicted"] == {"found": 1, "lost": 1, "moved": 1, "unchanged": 1, "decided": 0} and result["manual"] == NONE
    assert (result["count"], result["undecided"], result["is_unchanged"]) == (3, 3, False)
    assert {name: row["change"] for name, row in after.items()} == {"1": None, "2": "moved", "3": "found"}
    assert after["1"]["uid"] == before["stays"]["uid"] and after["2"]["uid"] == before["wanders"]["uid"]
    assert after["3"]["uid"] not in {row["uid"] for row in before.values()}
    assert after["1"]["geometry"].bounds[0] == 500_001 and after["2"]["geometry"].bounds[0] == 501_100
    predicted = read(str(case.path)).layers[form.PREDICTED]
    assert dict(zip(predicted.fields["name"], predicted.fields["component"].tolist(), strict=True)) == {
        name: row["component"] for name, row in after.items()
    }


def test_one_that_comes_apart_keeps_its_uid_in_the_larger_piece(case):
    case.start({"whole": box(0, 0, 400)})
    uid = case.rows()["whole"]["uid"]
    assert case.update({"small": box(0, 0, 100), "large": box(150, 0, 250)})["predicted"] == {**NONE, "found": 1, "moved": 1}
    rows = case.rows()
    assert rows["large"]["uid"] == uid and (rows["large"]["change"], rows["small"]["change"]) == ("moved", "found")


@pytest.mark.parametrize(
    "done",
    [
        {"status": "accepted", "reviewer": "Ada"},
        {"status": "rejected", "reason": "moraine", "comment": " not one "},
        {"status": "uncertain"},
        {"status": "replaced"},
        {"comment": "look again"},
        {"activity_class": "Relict"},
        {"status": "edited", "geometry": box(20, 0, 260)},
    ],
    ids=str,
)
@pytest.mark.parametrize("new", [box(0, 0), box(60, 0), box(3000, 0)], ids=["the same", "moved", "gone"])
def test_what_a_person_did_stays(case, done, new):
    case.start({"a": box(0, 0), "b": box(1000, 0)}, {"m": box(10, 0)})
    uid = case.change("a", **done)
    before = rows_of(read(str(case.path)))[uid]
    journal = read(str(case.path)).journal
    result = case.update({"new a": new, "b": box(1000, 0)})
    after = rows_of(read(str(case.path)))[uid]
    told = {"component", "relation", "iou", "area_deviation", "boundary_distance_m"}
    assert {name: value for name, value in after.items() if name not in told} == {
        name: value for name, value in before.items() if name not in told
    }
    assert read(str(case.path)).journal == journal
    gone = new.bounds[0] > 502_000
    assert result["predicted"] == {**NONE, "unchanged": 1, "found": int(gone), "decided": int(not gone)}


def test_an_undone_decision_is_none(case):
    case.start({"a": box(0, 0)})
    case.change("a", status="unreviewed")
    session = read(str(case.path))
    session.journal[0]["undone"] = 1
    case.write(session)
    assert case.update({"new": box(3000, 0)})["predicted"] == {**NONE, "found": 1, "lost": 1}


def test_a_conflict_between_reviewers_stays(case):
    case.start({"a": box(0, 0)})
    case.change("a", journal=False, conflict="Ada accepts, Bo rejects")
    assert case.update({"new": box(3000, 0)})["predicted"] == {**NONE, "found": 1}
    assert case.rows()["a"]["conflict"] == "Ada accepts, Bo rejects"


def test_ground_that_was_decided_is_not_proposed_again(case):
    case.start({"kept": box(0, 0), "rejected": box(1000, 0)})
    case.change("kept", status="accepted")
    case.change("rejected", status="rejected", reason="talus")
    new = {"mostly kept": box(90, 0), "hardly": box(-150, 500), "within": box(1050, 50, 60, 60), "beside": box(1150, 0)}
    assert case.update(new)["predicted"] == {**NONE, "found": 2, "decided": 2}
    assert set(case.rows()) == {"kept", "rejected", "hardly", "beside"}


def test_an_open_outline_under_a_decided_proposal_is_not_lost(case):
    case.start({"a": box(0, 0), "b": box(210, 0, 80)})
    case.change("a", status="accepted")
    assert case.update({"both": box(0, 0, 300)})["predicted"] == {**NONE, "unchanged": 1, "decided": 1}
    rows = case.rows()
    assert set(rows) == {"a", "b"} and rows["a"]["component"] == rows["b"]["component"] == 1


def test_what_a_person_added_is_not_touched(case):
    case.start({"a": box(0, 0)}, {"m": box(0, 0)})
    case.change("a", source="added", status="added", relation="added", component=None, iou=None)
    before = case.rows()["a"]
    case.update({"new": box(10, 0), "far": box(5000, 0)})
    assert case.rows()["a"] == before


def test_decided_outlines_are_told_their_new_relations(case):
    case.start({"a": box(0, 0, 400), "b": box(1000, 0)}, {"left": box(0, 0, 190), "right": box(210, 0, 190)})
    case.change("a", status="edited", geometry=box(0, 0, 190))
    assert case.rows()["a"]["relation"] == "n-1"
    case.update({"left": box(0, 0, 190), "right": box(210, 0, 190), "b": box(1000, 0)})
    rows = case.rows()
    assert (rows["a"]["relation"], rows["a"]["iou"]) == ("1-1", pytest.approx(1)) and rows["right"]["change"] == "found"
    reference = read(str(case.path)).layers[form.REFERENCE]
    assert rows["a"]["component"] == reference.fields["component"][list(reference.fields["name"]).index("left")]
    case.update({"far": box(9000, 0)})
    assert case.rows()["a"]["relation"] == "missed"  # of the manual outline there; the prediction has it no more


class TestManual:
    def test_missed_ones_come_and_go(self, case, tmp_path):
        case.start({"a": box(0, 0)}, {"m": box(0, 0), "missed": box(1000, 0), "gone": box(2000, 0)})
        uid = case.rows()["missed"]["uid"]
        drawn = save(tmp_path / "drawn.gpkg", {"m": box(0, 0), "missed": box(1030, 0), "late": box(4000, 0)})
        result = case.update(manual=drawn)
        assert result["manual"] == {**NONE, "found": 1, "lost": 1, "moved": 1} and result["predicted"] == {**NONE, "unchanged": 1}
        rows = case.rows()
        assert set(rows) == {"a", "missed", "late"} and rows["missed"]["uid"] == uid and rows["late"]["change"] == "found"
        assert rows["late"]["relation"] == "missed" and len(read(str(case.path)).layers[form.REFERENCE]) == 3

    def test_found_by_the_new_detection_leaves_the_queue(self, case):
        case.start({"a": box(0, 0)}, {"m": box(0, 0), "missed": box(1000, 0)})
        result = case.update({"a": box(0, 0), "b": box(1000, 0)})
        assert result["manual"] == {**NONE, "lost": 1} and case.rows()["b"]["relation"] == "1-1"

    def test_taken_stays(self, case):
        case.start({"a": box(0, 0)}, {"m": box(0, 0), "missed": box(1000, 0)})
        case.change("missed", status="added", reviewer="Ada")
        result = case.update({"a": box(0, 0), "b": box(1000, 0)})
        assert result["predicted"] == {**NONE, "unchanged": 1, "decided": 1} and case.rows()["missed"]["relation"] == "1-1"

    def test_the_first_manual_layer(self, case, tmp_path):
        case.start({"a": box(0, 0), "b": box(1000, 0)})
        assert case.rows()["a"]["relation"] is None
        drawn = save(tmp_path / "drawn.gpkg", {"m": box(0, 0)})
        assert case.update(manual=drawn)["is_unchanged"] is False
        assert {name: row["relation"] for name, row in case.rows().items()} == {"a": "1-1", "b": "false"}
        assert "manual" in read(str(case.path)).settings


class TestFields:
    def test_own_fields_follow_the_new_outlines(self, case):
        case.start({"a": box(0, 0), "b": box(1000, 0)}, count=[1, 2], old=["x", "y"])
        case.change("b", status="accepted")
        case.update({"a": box(0, 0), "c": box(3000, 0)}, fields={"count": [7, 8], "further": [0.5, 0.25]})
        rows = case.rows()
        assert [(rows[name]["count"], rows[name]["old"], rows[name]["further"]) for name in "abc"] == [
            (7, None, 0.5),
            (2, "y", None),
            (8, None, 0.25),
        ]

    def test_they_stay_when_only_manual_outlines_are_new(self, case, tmp_path):
        case.start({"a": box(0, 0)}, {"m": box(900, 0)}, count=[5], primary_id=["RGU281527N0972426E"], probability_mean=[0.75])
        case.update(manual=save(tmp_path / "drawn.gpkg", {"m": box(20, 0)}))
        row = next(iter(rows_of(read(str(case.path))).values()))
        assert (row["count"], row["primary_id"], row["probability"], row["relation"]) == (5, "RGU281527N0972426E", 0.75, "1-1")

    def test_no_field_appears_of_itself(self, case, tmp_path):
        case.start({"a": box(0, 0)}, {"m": box(900, 0)})
        before = set(read(str(case.path)).outlines.fields)
        case.update(manual=save(tmp_path / "drawn.gpkg", {"m": box(20, 0)}))
        assert set(read(str(case.path)).outlines.fields) == before

    @pytest.mark.parametrize("field", [None, 0.875])
    def test_a_new_probability_raster(self, case, tmp_path, field):
        case.start({"a": box(0, 0)}, **({} if field is None else {"probability_mean": [field]}))
        corner = Affine(10, 0, 500_000, 0, -10, 3_000_200)
        raster = write_raster(tmp_path / "p.tif", np.full((1, 20, 20), 0.625, np.float32), transform=corner)
        assert case.update(probability=raster)["is_unchanged"] is False
        assert case.rows()["a"]["probability"] == pytest.approx(0.625) and case.rows()["a"].get("probability_mean") == field
        assert form.found_path(read(str(case.path)).settings["probability"], str(case.path)) == raster


def test_restricted_tiles_and_settings_stay(case):
    case.start({"a": box(0, 0), "b": box(1000, 0), "c": box(2000, 0)})
    session = read(str(case.path))
    uids = [session.outlines.fields["uid"][index] for index in range(3)]
    restricted = PolygonLayer(np.array([box(20, 20, 90), box(1020, 20, 90)]), UTM, {"uid": np.array(uids[:2], dtype=object)})
    tiles = session.layers[form.TILES]
    tiles.fields["visited_by"][0] = "Ada"
    case.write(replace(session, layers={**session.layers, form.RESTRICTED: restricted}, settings={**session.settings, "current": uids[2]}))
    case.update({"a": box(50, 0), "c": box(2000, 0)})
    after = read(str(case.path))
    assert after.layers[form.RESTRICTED].fields["uid"].tolist() == uids[:1]
    assert after.layers[form.TILES].fields["visited_by"][0] == "Ada" and len(after.layers[form.TILES]) == len(tiles)
    assert after.settings["current"] == uids[2] and after.settings["session"] == session.settings["session"]
    assert form.found_path(after.settings["predicted"], str(case.path)) == str(case.folder / "new.gpkg")
    assert any("1 restricted" in text for text in case.reporter.infos)


def test_tables_that_others_keep_in_the_session_stay(case):
    case.start({"a": box(0, 0)})
    with closing(sqlite3.connect(case.path)) as connection, connection:
        connection.execute("CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT, styleName TEXT)")
        connection.execute("INSERT INTO layer_styles (styleName) VALUES ('mine')")
        connection.execute("INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', 'styles')")
    case.update({"b": box(900, 0)})
    with closing(sqlite3.connect(case.path)) as connection:
        assert connection.execute("SELECT styleName FROM layer_styles").fetchall() == [("mine",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert set(case.rows()) == {"b"}


class TestUnchanged:
    def test_nothing_is_written(self, case):
        case.start({"a": box(0, 0), "b": box(1000, 0)}, {"m": box(20, 0), "missed": box(4000, 0)}, score=[0.5, 0.25])
        case.change("a", status="rejected", reason="snow")
        before = case.checksum()
        result = case.update(manual=str(case.folder / "manual.gpkg"))
        assert result["is_unchanged"] and case.checksum() == before
        assert any("nothing has changed" in text for text in case.reporter.infos)

    def test_the_same_outlines_in_another_file(self, case):
        case.start({"a": box(0, 0)})
        assert case.update({"a": box(0, 0)})["is_unchanged"]
        assert form.found_path(read(str(case.path)).settings["predicted"], str(case.path)) == str(case.folder / "new.gpkg")

    def test_a_field_that_says_less_than_the_raster(self, case, tmp_path):
        values = np.ma.array([0.75, 0.0], mask=[False, True])
        path = tmp_path / "predicted.gpkg"
        write_polygons(path, PolygonLayer(np.array([box(0, 0), box(400, 0)]), UTM, {"probability_mean": values}), "predicted")
        corner = Affine(10, 0, 500_000, 0, -10, 3_000_200)
        raster = write_raster(tmp_path / "p.tif", np.full((1, 20, 60), 0.625, np.float32), transform=corner)
        start_review(StartReviewJob(str(path), str(case.path), probability=raster), SilentReporter())
        assert case.update(manual=save(tmp_path / "drawn.gpkg", {"m": box(0, 0)}))["is_unchanged"] is False
        assert [(row["probability"], row["probability_mean"]) for row in case.rows().values()] == [(0.75, 0.75), (0.625, None)]
        assert case.update(manual=str(tmp_path / "drawn.gpkg"))["is_unchanged"]

    def test_marks_of_the_last_change_stay(self, case):
        case.start({"a": box(0, 0)})
        case.update({"b": box(3000, 0)})
        assert case.update({"b": box(3000, 0)})["is_unchanged"] and case.rows()["b"]["change"] == "found"


def test_another_crs(case):
    case.start({"a": box(0, 0)})
    assert case.update({"a": box(0, 0), "b": box(900, 0)}, crs=CRS(4326))["predicted"] == {**NONE, "found": 1, "unchanged": 1}
    assert read(str(case.path)).crs == UTM and case.rows()["b"]["geometry"].area == pytest.approx(40_000, rel=1e-6)


def test_no_outline_on_either_side(case):
    case.start({})
    assert case.update({"a": box(0, 0)})["predicted"] == {**NONE, "found": 1}
    assert case.update({})["predicted"] == {**NONE, "lost": 1} and case.rows() == {}


def test_outlines_that_a_person_left_broken(case):
    case.start({"a": box(0, 0), "b": box(1000, 0)})
    bow = shapely.Polygon([(500_000, 3_000_000), (500_200, 3_000_200), (500_200, 3_000_000), (500_000, 3_000_200)])
    case.change("a", status="edited", geometry=bow)
    case.change("b", status="rejected", geometry=shapely.MultiPolygon())
    case.update({"new": box(5000, 0)})
    assert shapely.area(case.rows()["a"]["geometry"]) == 0 and set(case.rows()) == {"a", "b", "new"}


class TestSafety:
    def test_edits_that_are_in_the_journal_alone_are_not_lost(self, case):
        case.start({"a": box(0, 0)})
        case.change("a", status="accepted")
        session = read(str(case.path))
        session.journal[0]["saved"] = 0
        case.write(session)
        before = case.checksum()
        with pytest.raises(EngineError) as raised:
            case.update({"b": box(900, 0)})
        assert raised.value.code == "review_unsaved" and case.checksum() == before

    def test_another_output_leaves_the_session_alone(self, case, tmp_path):
        case.start({"a": box(0, 0)})
        before = case.checksum()
        (tmp_path / "elsewhere").mkdir()
        output = str(tmp_path / "elsewhere" / "new.gpkg")
        case.update({"b": box(900, 0)}, output=output)
        assert case.checksum() == before
        assert form.found_path(read(output).settings["predicted"], output) == str(case.folder / "new.gpkg")

    def test_cancelled(self, case):
        case.start({"a": box(0, 0)})
        before = case.checksum()
        case.reporter = SilentReporter(cancel_after=3)
        with pytest.raises(Cancelled):
            case.update({"b": box(900, 0)})
        assert case.checksum() == before

    def test_worked_in_meanwhile(self, case):
        case.start({"a": box(0, 0)})

        class Colleague(SilentReporter):
            def progress(self, fraction: float, text: str = "") -> None:
                if text == "laying out the queue":
                    with closing(sqlite3.connect(case.path)) as connection, connection:
                        connection.execute("INSERT INTO settings (key, value) VALUES ('current', 'x')")

        case.reporter = Colleague()
        with pytest.raises(EngineError) as raised:
            case.update({"b": box(900, 0)})
        assert raised.value.code == "review_changed" and set(case.rows()) == {"a"}

    def test_open_elsewhere(self, case):
        case.start({"a": box(0, 0)})
        with closing(sqlite3.connect(case.path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM settings").fetchall()
            with pytest.raises(EngineError) as raised:
                case.update({"b": box(900, 0)})
        assert raised.value.code == "review_open"
        assert case.update({"b": box(900, 0)})["predicted"]["found"] == 1

    def test_the_session_of_another_person_is_not_replaced(self, case, tmp_path):
        case.start({"a": box(0, 0)})
        other = tmp_path / "other.gpkg"
        review = Review()
        review.predict("a", box(0, 0))
        review.do("Bo", "accept", "a", status="accepted")
        review.write(other)
        before = other.read_bytes()
        with pytest.raises(EngineError) as raised:
            case.update({"a": box(0, 0, 300)}, output=str(other))
        assert raised.value.code == "review_exists" and other.read_bytes() == before

    def test_no_session(self, case, tmp_path):
        plain = save(tmp_path / "plain.gpkg", {"a": box(0, 0)})
        with pytest.raises(EngineError) as raised:
            update_review(UpdateReviewJob(plain, str(tmp_path / "out.gpkg"), predicted=plain), SilentReporter())
        assert raised.value.code == "not_a_review"

    def test_where_without_what_is_refused(self, case):
        with pytest.raises(EngineError) as raised:
            run_job(UpdateReviewJob("review.gpkg", "review.gpkg", area_of_interest="area.gpkg"), SilentReporter())
        assert raised.value.code == "parameter"

    def test_a_probability_raster_that_is_gone(self, case, tmp_path):
        case.start({"a": box(0, 0)})
        session = read(str(case.path))
        case.write(replace(session, settings={**session.settings, "probability": str(tmp_path / "gone.tif")}))
        case.update({"b": box(900, 0)})
        assert dict(case.reporter.warnings).keys() == {"file_missing"}


class TestInputsReadAgain:
    """Nothing new is given: the layers that the session was made from may have been changed."""

    def test_as_they_were(self, case):
        case.start({"a": box(0, 0)}, {"m": box(0, 0)})
        before = case.checksum()
        assert case.update()["is_unchanged"] and case.checksum() == before

    def test_changed(self, case):
        case.start({"a": box(0, 0), "b": box(1000, 0)}, {"m": box(0, 0)})
        save(case.folder / "predicted.gpkg", {"a": box(0, 0), "b": box(1040, 0)})
        save(case.folder / "manual.gpkg", {"m": box(0, 0), "late": box(3000, 0)})
        result = case.update()
        assert result["predicted"] == {**NONE, "moved": 1, "unchanged": 1} and result["manual"] == {**NONE, "found": 1}
        settings = read(str(case.path)).settings
        assert settings["predicted_state"] == form.file_state(str(case.folder / "predicted.gpkg"))

    def test_gone(self, case):
        case.start({"a": box(0, 0)})
        (case.folder / "predicted.gpkg").unlink()
        assert case.update()["is_unchanged"] and dict(case.reporter.warnings).keys() == {"file_missing"}


class TestAreaOfInterest:
    """A new detection looked at a part of the ground only."""

    def update(self, case, new, *boxes, **options):
        area = save(case.folder / "area.gpkg", {str(number): shape for number, shape in enumerate(boxes)})
        return case.update(new, area_of_interest=area, **options)

    def test_outlines_elsewhere_stay(self, case):
        case.start({"1": box(0, 0), "2": box(1000, 0), "3": box(5000, 0)}, count=[1, 2, 3], probability_mean=[0.5, 0.75, 0.875])
        before = case.rows()
        result = self.update(case, {"1": box(60, 0)}, box(-500, -500, 2000, 2000), fields={"count": [7], "probability_mean": [0.25]})
        assert result["predicted"] == {**NONE, "moved": 1, "lost": 1, "unchanged": 1}
        rows = {row["uid"]: row for row in case.rows().values()}
        moved, stayed = rows[before["1"]["uid"]], rows[before["3"]["uid"]]
        assert (moved["count"], moved["probability_mean"], moved["probability"]) == (7, 0.25, 0.25)
        assert (stayed["count"], stayed["probability_mean"], stayed["probability"], stayed["source_id"]) == (3, 0.875, 0.875, "3")
        assert read(str(case.path)).layers[form.PREDICTED].fields["name"].tolist() == ["1", "3"]

    def test_names_do_not_clash(self, case):
        case.start({"1": box(0, 0), "2": box(5000, 0)})
        uid = case.rows()["2"]["uid"]
        self.update(case, {"1": box(0, 0), "2": box(700, 0)}, box(-500, -500, 2000, 2000))
        rows = case.rows()
        assert rows["2'"]["uid"] == uid and rows["2"]["change"] == "found" and "probability_mean" not in rows["2"]

    def test_one_on_the_edge_gives_way_to_its_successor(self, case):
        case.start({"1": box(0, 0, 400, 200)})
        result = self.update(case, {"1": box(0, 0, 150, 200)}, box(-500, -500, 650, 2000))
        assert result["predicted"] == {**NONE, "moved": 1}


def test_a_copied_folder_is_a_session_of_its_own(case, tmp_path):
    case.start({"a": box(0, 0)}, {"m": box(0, 0)})
    copy = tmp_path.parent / f"{tmp_path.name} copy"
    shutil.copytree(tmp_path, copy)
    twin = Case(copy)
    twin.update({"b": box(900, 0)})
    settings = read(str(twin.path)).settings
    assert form.found_path(settings["manual"], str(twin.path)) == str(copy / "manual.gpkg") and set(case.rows()) == {"a"}
