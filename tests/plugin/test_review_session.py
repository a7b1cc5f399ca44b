"""Decisions, edits by QGIS's own ways, undo, and what is left of them after an accident."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from osgeo import gdal
from qgis.core import (
    NULL,
    Qgis,
    QgsApplication,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
    QgsVectorLayerEditUtils,
    QgsVectorLayerUtils,
)
from qgis.PyQt import sip

import review_session as form
from tests.plugin import reviews
from tests.plugin.reviews import LEFT, TOP, make_review

ROOT = Path(__file__).resolve().parents[2]
ACROSS = QgsGeometry.fromWkt(f"LINESTRING({LEFT} {TOP - 320}, {LEFT + 450} {TOP - 320})")
"""Through the first predicted outline, a square of 200 m, 80 m below its upper side."""
NEW = QgsGeometry.fromWkt("POLYGON((601600 3098100, 601800 3098100, 601800 3098300, 601600 3098300, 601600 3098100))")


@pytest.fixture
def open_review(module: Callable[[str], Any]) -> Iterator[Callable[..., Any]]:
    """Open a session; what it says is in ``review.texts``."""
    session = module("dialogs.review.session")
    opened = []
    QgsProject.instance().clear()  # of what other tests left

    def opening(path: Path, operator: str = "anna") -> Any:
        review = session.Review(path, operator, QgsProject.instance())
        review.texts, review.told = [], []
        review.said.connect(lambda text, _level: review.texts.append(text))
        review.changed.connect(review.told.append)
        QgsApplication.processEvents()
        opened.append(review)
        return review

    yield opening
    for review in opened:
        review.close()
    QgsProject.instance().clear()


@pytest.fixture
def review(open_review: Callable[..., Any], tmp_path: Path) -> Any:
    """A session of the known cases."""
    return open_review(make_review(tmp_path))


@pytest.fixture
def error(module: Callable[[str], Any]) -> type[Exception]:
    """ReviewError."""
    return module("dialogs.review.session").ReviewError


def of_case(review: Any, number: int) -> list[str]:
    """Predicted outlines of a case of reviews.CASES, else its manual ones."""
    request = QgsFeatureRequest().setFilterExpression(f"component = {number + 1}")
    return [feature["uid"] for feature in review.outlines.getFeatures(request)]


def journal(path: Path, what: str = "command, action, uid, undone, saved") -> list[tuple[Any, ...]]:
    """Rows as another process reads them: this one must not open the file with a second SQLite."""
    code = "import json, sqlite3, sys; print(json.dumps(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))"
    command = [sys.executable, "-c", code, str(path), f"SELECT {what} FROM journal ORDER BY id"]
    return [tuple(row) for row in json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)]


def crash_copy(path: Path, folder: Path) -> Path:
    """What is on the disk now, as a crash would leave it."""
    folder.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        if path.with_name(name).exists():
            subprocess.run(["cp", str(path.with_name(name)), str(folder / name)], check=True)
    return folder / path.name


def picture(review: Any) -> dict[str, dict[str, Any]]:
    """All outlines and restricted outlines, by uid, without what QGIS numbers itself."""
    found: dict[str, dict[str, Any]] = {}
    for layer in (review.outlines, review.restricted):
        for feature in layer.getFeatures():
            values = dict(zip(feature.fields().names(), feature.attributes()))
            del values["fid"]
            plain = {name: None if value in (None, "") or str(value) == "NULL" else value for name, value in values.items()}
            found[f"{layer.name()} {plain['uid']}"] = {**plain, "wkt": feature.geometry().asWkt(3)}
    return found


def differences(one: dict[str, dict[str, Any]], other: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What differs between two pictures, by outline and attribute."""
    pairs = {uid: (one.get(uid, {}), other.get(uid, {})) for uid in {*one, *other}}
    found = {
        uid: {name: (old.get(name), new.get(name)) for name in {*old, *new} if old.get(name) != new.get(name)}
        for uid, (old, new) in pairs.items()
    }
    return {uid: values for uid, values in found.items() if values}


def queue_agrees(review: Any) -> bool:
    """The queue says what the layer says."""
    rows = {feature["uid"]: feature for feature in review.outlines.getFeatures()}
    if review.queue.total != len(rows):
        return False
    for uid, feature in rows.items():
        row = review.queue.get(uid)
        if row["fid"] != feature.id() or row["status"] != feature["status"]:
            return False
        if row["area_km2"] != pytest.approx(review._area(feature.geometry()) / 1e6, rel=1e-3):
            return False
    return True


def test_opening_fills_queue_and_project(review: Any) -> None:
    assert review.queue.total == 16
    assert review.queue.counts() == {"unreviewed": 16}
    assert [review.outlines.isEditable(), review.restricted.isEditable()] == [True, True]
    assert [layer.startEditing() for layer in (review.predicted, review.reference, review.tiles)] == [False] * 3
    group = QgsProject.instance().layerTreeRoot().children()[0]
    assert {layer.layer().id() for layer in group.findLayers()} == {layer.id() for layer in QgsProject.instance().mapLayers().values()}
    assert (review.imagery.isValid(), review.probability.isValid(), review.dem.isValid()) == (True, True, True)
    assert queue_agrees(review)
    assert review.texts == []


def test_closing_gives_everything_back(review: Any) -> None:
    path = review.path
    review.accept([review.queue.uid_at(0)])
    review.close()
    assert not review.is_open
    assert QgsProject.instance().mapLayers() == {}
    assert QgsProject.instance().layerTreeRoot().children() == []
    assert {entry.name for entry in path.parent.glob("review.gpkg*")} == {"review.gpkg"}
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("SELECT count(*) FROM outlines WHERE status = 'accepted' AND reviewer = 'anna'").fetchone() == (1,)
        assert connection.execute("SELECT action, undone, saved FROM journal").fetchall() == [("accept", 0, 1)]
    connection.close()


def test_decisions_are_on_the_disk_at_once(review: Any) -> None:
    first, second, third, fourth = (review.queue.uid_at(position) for position in range(4))
    review.show(first)
    review.accept([first])
    review.reject([second], "moraine", "ice inside")
    review.mark_uncertain([third, fourth])
    assert [row[:3] for row in journal(review.path)] == [
        (1, "accept", first), (2, "reject", second), (3, "uncertain", third), (3, "uncertain", fourth)
    ]  # fmt: skip
    assert review.queue.counts() == {"unreviewed": 12, "accepted": 1, "uncertain": 2, "rejected": 1}
    row = review.feature(second)
    assert (row["status"], row["reason"], row["comment"], row["reviewer"]) == ("rejected", "moraine", "ice inside", "anna")
    review.accept([second])
    assert review.queue.get(second)["reason"] is None
    assert review.told == [[first], [second], [third, fourth], [second]]
    before, after = journal(review.path, "before, after")[0]
    assert json.loads(before) == {"status": "unreviewed", "reviewer": None, "reviewed_at": None}
    assert json.loads(after)["status"] == "accepted"


def test_seconds_leave_out_long_absence(review: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    uids = [review.queue.uid_at(position) for position in range(2)]
    review.show(uids[0])
    clock[0] = 7.5
    review.accept(uids)
    clock[0] = 5000.0
    review.reset(uids[:1])
    assert [row[0] for row in journal(review.path, "seconds")] == [7.5, None, 120.0]


def test_reason_must_be_one_of_the_list(review: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="moraine"):
        review.reject([review.queue.uid_at(0)], "because")
    assert journal(review.path) == []


def test_attributes_and_comment(review: Any, error: type[Exception]) -> None:
    uid = review.queue.uid_at(0)
    review.set_attributes({uid: {"activity_class": "Active", "reliability_front": 2, "primary_id": "RG1"}})
    review.set_comment(uid, 'it\'s "good"')
    assert review.queue.get(uid)["name"] == "RG1"
    assert review.queue.get(uid)["comment"] == 'it\'s "good"'
    assert review.feature(uid)["reliability_front"] == 2
    assert review.queue.get(uid)["status"] == "unreviewed"
    review.set_attributes({uid: {"primary_id": None}})
    assert review.queue.get(uid)["name"] == "1"
    with pytest.raises(error, match="depth"):
        review.set_attributes({uid: {"depth": 3}})


def test_undo_and_redo_across_decisions(review: Any) -> None:
    first, second = (review.queue.uid_at(position) for position in range(2))
    start = picture(review)
    review.accept([first])
    review.set_restricted(second, review.outline(second).buffer(-30, 3))
    review.set_outline(second, review.outline(second).buffer(10, 3), "level")
    end = picture(review)
    assert (review.undo_text(), review.redo_text()) != ("", "")
    for _ in range(3):
        review.undo()
    assert picture(review) == start
    assert review.undo_text() == ""
    assert [row[3] for row in journal(review.path)] == [1, 1, 1]
    for _ in range(3):
        review.redo()
    assert picture(review) == end
    assert [row[3] for row in journal(review.path)] == [0, 0, 0]
    review.undo()
    review.reject([first], "snow")  # what was undone is gone for good
    assert review.redo_text() == ""
    assert [(row[1], row[3]) for row in journal(review.path)] == [("accept", 0), ("restricted", 0), ("level", 1), ("reject", 0)]
    assert queue_agrees(review)
    review.undo()
    assert review.queue.get(first)["status"] == "accepted"


def test_saving_ends_the_undo_stack_and_nothing_else(review: Any) -> None:
    uid = review.queue.uid_at(0)
    review.accept([uid])
    review.undo()
    added = review.add(NEW)
    review.save()
    assert review.undo_text() == ""
    assert review.outlines.isEditable()
    assert [(row[1], row[3]) for row in journal(review.path)] == [("accept", 1), ("add", 0)]
    assert review.queue.get(added)["fid"] == 17  # no more the one of the edit buffer
    assert queue_agrees(review)
    review.reject([added], "talus")
    review.undo()
    assert review.queue.get(added)["status"] == "added"
    assert [(row[1], row[3]) for row in journal(review.path)] == [("accept", 1), ("add", 0), ("reject", 1)]


def test_edited_boundary_stays_edited_when_accepted(review: Any) -> None:
    uid = review.queue.uid_at(0)
    review.set_outline(uid, review.outline(uid).buffer(5, 3), "snap")
    assert review.queue.get(uid)["status"] == "edited"
    review.reject([uid], "other")
    review.accept([uid])
    assert review.queue.get(uid)["status"] == "edited"
    review.undo()
    review.undo()
    review.undo()
    review.accept([uid])
    assert review.queue.get(uid)["status"] == "accepted"


def test_outline_without_area_is_refused(review: Any, error: type[Exception]) -> None:
    uid = review.queue.uid_at(0)
    for nothing in (QgsGeometry(), ACROSS):
        with pytest.raises(error, match="no area"):
            review.set_outline(uid, nothing, "level")
    assert journal(review.path) == []


def test_split(review: Any, error: type[Exception]) -> None:
    (uid,) = of_case(review, 0)
    area = review.outline(uid).area()
    uids = review.split(uid, ACROSS)
    assert uids[0] == uid
    assert [round(review.outline(part).area()) for part in uids] == [24000, 16000]
    assert sum(review.outline(part).area() for part in uids) == pytest.approx(area)
    part = review.feature(uids[1])
    assert (part["parent"], part["status"], part["source"], part["component"], part["note"]) == (
        uid,
        "edited",
        "predicted",
        1,
        "predicted 1",
    )
    assert review.queue.get(uid)["status"] == "edited"
    assert queue_agrees(review)
    restricted = [review.restricted_outline(own).area() for own in uids]
    assert restricted == pytest.approx([160 * (120 - 20), 160 * (80 - 20)])
    with pytest.raises(error, match="does not cut"):
        review.split(uid, QgsGeometry.fromWkt(f"LINESTRING({LEFT} {TOP}, {LEFT + 10} {TOP})"))
    review.undo()
    assert review.queue.total == 16
    assert review.outline(uid).area() == pytest.approx(area)
    assert review.restricted_outline(uid).area() == pytest.approx(160 * 160)
    assert review.undo_text() == ""
    review.redo()
    assert review.queue.get(uids[1])["status"] == "edited"


def test_split_of_a_multipart_outline_keeps_the_other_part(review: Any) -> None:
    (uid,) = of_case(review, 0)
    review.set_outline(uid, QgsGeometry.collectGeometry([review.outline(uid), NEW]), "edit")
    parts = review.split(uid, ACROSS)
    assert [round(review.outline(part).area()) for part in parts] == [64000, 16000]


def test_take_manual(review: Any) -> None:
    first, second = of_case(review, 5)  # two predicted, one manual
    review.reject([second], "talus")
    taken = review.take_manual(first)
    assert [review.queue.get(uid)["status"] for uid in (first, second, *taken)] == ["replaced", "rejected", "added"]
    own = review.feature(taken[0])
    assert (own["source"], own["component"], own["relation"]) == ("manual", 6, "1-n")
    assert review.outline(taken[0]).isGeosEqual(review.reference_ground(first))
    assert review.take_manual(first) == taken  # not twice
    assert review.queue.total == 17
    review.undo()
    review.undo()
    assert review.queue.total == 16
    assert review.queue.get(first)["status"] == "unreviewed"


def test_keep_both_and_missed(review: Any, error: type[Exception]) -> None:
    (uid,) = of_case(review, 3)  # two manual in one predicted
    taken = review.keep_both(uid)
    assert [review.queue.get(own)["status"] for own in (uid, *taken)] == ["accepted", "added", "added"]
    (missed,) = of_case(review, 8)
    assert review.take_manual(missed) == [missed]
    assert review.queue.get(missed)["status"] == "added"
    (other,) = of_case(review, 9)
    review.accept([other])
    assert review.queue.get(other)["status"] == "added"
    (false,) = of_case(review, 10)
    with pytest.raises(error, match="no manual outline"):
        review.take_manual(false)


def by_vertex_tool(review: Any, uid: str) -> None:
    review.outlines.beginEditCommand("Moved vertex")
    review.outlines.moveVertex(LEFT, TOP + 30, review.feature(uid).id(), 0)
    review.outlines.endEditCommand()


def by_another_plugin(review: Any, uid: str) -> None:
    """Outside of an edit command."""
    review.outlines.changeGeometry(review.feature(uid).id(), review.outline(uid).buffer(2, 1))


@pytest.mark.parametrize(
    ("decide", "chosen", "other"),
    [
        (lambda review, uid: review.accept([uid]), "accepted", "replaced"),
        (lambda review, uid: review.mark_uncertain([uid]), "uncertain", "replaced"),
        (lambda review, uid: review.set_outline(uid, review.outline(uid).buffer(2, 1), "level"), "edited", "replaced"),
        (by_vertex_tool, "edited", "replaced"),
        (by_another_plugin, "edited", "replaced"),
        (lambda review, uid: review.keep_both(uid), "accepted", "replaced"),
        (lambda review, uid: review.take_manual(uid), "replaced", "replaced"),
        (lambda review, uid: review.reject([uid], "talus"), "rejected", "unreviewed"),
        (lambda review, uid: review.set_comment(uid, "?"), "unreviewed", "unreviewed"),
    ],
    ids=["accept", "uncertain", "level", "vertex tool", "plugin", "keep both", "take manual", "reject", "comment"],
)
def test_the_version_that_is_kept_replaces_the_others(review: Any, decide: Callable[..., Any], chosen: str, other: str) -> None:
    (uid,) = of_case(review, 0)
    component = review.feature(uid)["component"]
    version = review.add(review.outline(uid).buffer(-5, 1))
    disputed = {"status": "unreviewed", "conflict": "boundary"}
    review.set_attributes({uid: disputed, version: {**disputed, "source": "predicted", "component": component, "parent": uid}})
    decide(review, uid)
    assert [review.queue.get(one)["status"] for one in (uid, version)] == [chosen, other]
    assert bool(review.queue.get(version)["conflict"]) == (other == "unreviewed")
    review.undo()
    QgsApplication.processEvents()
    assert [review.queue.get(one)["status"] for one in (uid, version)] == ["unreviewed", "unreviewed"]
    assert review.queue.get(uid)["conflict"] == review.queue.get(version)["conflict"] == "boundary"


def test_grounds(review: Any) -> None:
    (uid,) = of_case(review, 0)
    assert review.predicted_ground(uid).intersection(review.reference_ground(uid)).area() == pytest.approx(180 * 200)
    review.set_outline(uid, NEW, "edit")
    assert review.predicted_ground(uid).area() == pytest.approx(200 * 200)
    (missed,) = of_case(review, 8)
    assert review.predicted_ground(missed).isEmpty()
    assert review.reference_ground(review.add(NEW)).isEmpty()
    over = review.add(review.predicted_ground(uid).buffer(1, 1))
    assert review.predicted_ground(over).area() == pytest.approx(200 * 200)
    assert review.outline("nobody").isEmpty()


def test_restricted_outline(review: Any) -> None:
    first, third = review.queue.uid_at(0), review.queue.uid_at(2)
    assert review.restricted_outline(first).area() == pytest.approx(160 * 160)
    assert review.restricted_outline(third).isEmpty()
    review.set_restricted(third, review.outline(third))
    review.set_restricted(first, QgsGeometry())
    assert review.restricted_outline(first).isEmpty()
    assert review.told == [[third], [first]]
    assert [row[1:3] for row in journal(review.path)] == [("restricted", third), ("restricted", first)]


def test_command_is_rolled_back_on_an_exception(review: Any) -> None:
    uid, before = review.queue.uid_at(0), picture(review)
    with pytest.raises(ZeroDivisionError), review.command("edit", "Half of an edit") as layer:
        layer.changeGeometry(review.queue.get(uid)["fid"], NEW)
        layer.deleteFeature(review.queue.get(review.queue.uid_at(1))["fid"])
        raise ZeroDivisionError
    assert picture(review) == before
    assert journal(review.path) == []
    assert queue_agrees(review)
    review.accept([uid])
    assert [row[1] for row in journal(review.path)] == ["accept"]


# QGIS's own ways


def vertex_moved(layer: QgsVectorLayer, fid: int) -> None:
    layer.beginEditCommand("Moved vertex")
    QgsVectorLayerEditUtils(layer).moveVertex(LEFT + 50, TOP - 450, fid, 0)
    layer.endEditCommand()


def test_vertex_tool(review: Any) -> None:
    (uid,) = of_case(review, 0)
    fid, index = review.queue.get(uid)["fid"], review.outlines.undoStack().index()
    vertex_moved(review.outlines, fid)
    assert review.outlines.undoStack().index() == index + 1  # status in the same command
    row = review.feature(uid)
    assert (row["status"], row["reviewer"]) == ("edited", "anna")
    assert journal(review.path, "action, uid, before_geometry IS NULL, after_geometry IS NULL") == [("edit", uid, 0, 0)]
    review.outlines.undoStack().undo()
    assert review.queue.get(uid)["status"] == "unreviewed"
    assert journal(review.path)[0][3] == 1
    review.outlines.undoStack().redo()
    assert review.queue.get(uid)["status"] == "edited"
    assert queue_agrees(review)


def test_vertex_on_a_straight_edge_is_no_edit(review: Any) -> None:
    (uid,) = of_case(review, 0)
    layer, fid = review.outlines, review.queue.get(uid)["fid"]
    layer.beginEditCommand("Topological points")
    QgsVectorLayerEditUtils(layer).insertVertex(LEFT + 151.7, TOP - 400, fid, 1)
    layer.endEditCommand()
    assert review.queue.get(uid)["status"] == "unreviewed"
    assert len(journal(review.path)) == 1
    layer.beginEditCommand("Vertex")  # and one that is, after it
    QgsVectorLayerEditUtils(layer).insertVertex(LEFT + 120, TOP - 400, fid, 1)
    QgsVectorLayerEditUtils(layer).moveVertex(LEFT + 120, TOP - 420, fid, 1)
    layer.endEditCommand()
    assert review.queue.get(uid)["status"] == "edited"
    assert layer.undoStack().index() == 2


def test_native_simplify(review: Any) -> None:
    """As QGIS's tool Simplify Feature does it."""
    (uid,) = of_case(review, 0)
    layer, fid = review.outlines, review.queue.get(uid)["fid"]
    round_one = review.outline(uid).buffer(30, 12)
    round_one.convertToMultiType()
    layer.dataProvider().changeGeometryValues({fid: round_one})
    simpler = review.outline(uid).simplify(5)
    before, vertices = picture(review), len(list(round_one.vertices()))
    layer.beginEditCommand("Geometry simplified")
    layer.changeGeometry(fid, simpler)
    layer.endEditCommand()
    assert len(list(review.outline(uid).vertices())) < vertices / 2
    assert (review.queue.get(uid)["status"], layer.undoStack().count()) == ("edited", 1)
    assert review.queue.get(uid)["area_km2"] == pytest.approx(simpler.area() / 1e6, rel=2e-3)
    assert journal(review.path, "action, uid, before_geometry IS NULL, after_geometry IS NULL") == [("edit", uid, 0, 0)]
    layer.undoStack().undo()
    assert picture(review) == before
    assert queue_agrees(review)


def test_added_outline_stays_added(review: Any) -> None:
    uid = review.add(NEW)
    vertex_moved(review.outlines, review.queue.get(uid)["fid"])
    assert review.queue.get(uid)["status"] == "added"


def test_native_split(review: Any) -> None:
    (uid,) = of_case(review, 0)
    layer, before = review.outlines, picture(review)
    layer.selectByIds([review.queue.get(uid)["fid"]])
    layer.beginEditCommand("Features split")
    assert layer.splitFeatures([QgsPointXY(point) for point in ACROSS.asPolyline()], False) == Qgis.GeometryOperationResult.Success
    layer.endEditCommand()
    assert review.queue.total == 17
    (part,) = [feature for feature in layer.getFeatures() if feature["parent"] == uid]
    assert part["uid"] != uid
    assert (part["status"], part["reviewer"], part["source"], part["note"]) == ("edited", "anna", "predicted", "predicted 1")
    assert review.queue.get(uid)["status"] == "edited"
    assert {row[:2] for row in journal(review.path)} <= {(1, "split"), (1, "edit")}
    after = picture(review)
    review.undo()
    assert picture(review) == before
    review.redo()
    assert picture(review) == after
    layer.undoStack().undo()  # QGIS's own undo takes the same steps
    QgsApplication.processEvents()
    assert picture(review) == before
    assert {row[3] for row in journal(review.path)} == {1}


def test_native_merge(review: Any) -> None:
    first, second = of_case(review, 5)
    layer = review.outlines
    one, two = layer.getFeature(review.queue.get(first)["fid"]), layer.getFeature(review.queue.get(second)["fid"])
    union = QgsGeometry.unaryUnion([one.geometry(), two.geometry()])
    merged, _why = QgsVectorLayerEditUtils(layer).mergeFeatures(one.id(), [one.id(), two.id()], one.attributes(), union)
    assert merged
    assert review.queue.total == 15
    assert review.queue.get(first)["status"] == "edited"
    assert {row[1:3] for row in journal(review.path)} == {("edit", first), ("delete", second)}
    review.undo()
    assert review.queue.get(second)["status"] == "unreviewed"
    assert queue_agrees(review)


def test_merge_selected_features(review: Any) -> None:
    """As QGIS's dialog does it: the selected ones go, and one comes with what the dialog says."""
    first, second = of_case(review, 5)
    layer, before = review.outlines, picture(review)
    review.show(second)
    features = [review.feature(uid) for uid in (first, second)]
    union = QgsGeometry.unaryUnion([feature.geometry() for feature in features])
    none, fids = -(2**63), [feature.id() for feature in features]
    merged, _why = QgsVectorLayerEditUtils(layer).mergeFeatures(none, fids, [NULL] * layer.fields().count(), union)
    assert merged and review.queue.total == 15
    own = review.queue.get(review.current)
    assert (own["status"], own["source"], own["relation"]) == ("edited", "predicted", "1-n")
    feature = review.feature(review.current)
    assert feature["parent"] in (first, second) and feature["component"] == features[0]["component"]
    assert {row[1:3] for row in journal(review.path)} == {("delete", first), ("delete", second), ("edit", review.current)}
    assert review.predicted_ground(review.current).area() == pytest.approx(union.area())
    layer.undoStack().undo()
    QgsApplication.processEvents()
    assert picture(review) == before and review.current in (first, second)
    assert queue_agrees(review)


@pytest.mark.parametrize("how", ["review", "qgis"])
def test_restricted_outline_goes_and_comes_with_its_outline(how: str, review: Any) -> None:
    (uid,) = of_case(review, 0)
    layer, before = review.outlines, picture(review)
    layer.deleteFeature(review.queue.get(uid)["fid"])
    assert [feature["uid"] for feature in review.restricted.getFeatures()] == of_case(review, 1)
    assert {(row[0], *row[1:3]) for row in journal(review.path)} == {(1, "delete", uid)}
    after = picture(review)
    for undo, redo in ((review.undo, review.redo), (layer.undoStack().undo, layer.undoStack().redo))[how == "qgis" :]:
        undo()
        QgsApplication.processEvents()
        assert picture(review) == before
        redo()
        QgsApplication.processEvents()
        assert picture(review) == after
    assert {row[3] for row in journal(review.path)} == {0}


@pytest.mark.parametrize("into", ["the first", "a new one"])
def test_restricted_outlines_are_merged_with_their_outlines(into: str, review: Any) -> None:
    pair = of_case(review, 5)
    for uid in pair:
        review.set_restricted(uid, review.outline(uid).buffer(-20, 3))
    layer, before = review.outlines, picture(review)
    features = [review.feature(uid) for uid in pair]
    union = QgsGeometry.unaryUnion([feature.geometry() for feature in features])
    restricted = QgsGeometry.unaryUnion([review.restricted_outline(uid) for uid in pair])
    fids = [feature.id() for feature in features]
    target, values = (fids[0], features[0].attributes()) if into == "the first" else (-(2**63), [NULL] * layer.fields().count())
    merged, _why = QgsVectorLayerEditUtils(layer).mergeFeatures(target, fids, values, union)
    assert merged
    (one,) = layer.getFeatures(QgsFeatureRequest().setFilterRect(union.boundingBox()))
    assert review.restricted_outline(one["uid"]).isGeosEqual(restricted)
    assert review.restricted.featureCount() == 3
    review.undo()
    assert picture(review) == before


def test_restricted_outline_is_cut_with_qgis_too(review: Any) -> None:
    (uid,) = of_case(review, 0)
    layer, before = review.outlines, picture(review)
    whole = review.restricted_outline(uid).area()
    layer.beginEditCommand("Features split")
    layer.splitFeatures([QgsPointXY(point) for point in ACROSS.asPolyline()], False)
    layer.endEditCommand()
    (part,) = [feature["uid"] for feature in layer.getFeatures() if feature["parent"] == uid]
    shares = [review.restricted_outline(own) for own in (uid, part)]
    assert all(share.within(review.outline(own)) for own, share in zip((uid, part), shares))
    assert sum(share.area() for share in shares) == pytest.approx(whole)
    layer.undoStack().undo()
    QgsApplication.processEvents()
    assert picture(review) == before


def test_part_that_a_restricted_outline_only_touches_has_none(review: Any) -> None:
    (uid,) = of_case(review, 0)
    box = review.outline(uid).boundingBox()
    middle = box.center().y()
    review.set_restricted(uid, QgsGeometry.fromRect(QgsRectangle(box.xMinimum(), middle, box.xMaximum(), box.yMaximum())))
    line = QgsGeometry.fromWkt(f"LINESTRING({box.xMinimum() - 1} {middle}, {box.xMaximum() + 1} {middle})")
    parts = review.split(uid, line)
    assert sorted(review.restricted_outline(part).isEmpty() for part in parts) == [False, True]


def test_native_drawing_and_paste(review: Any) -> None:
    layer = review.outlines
    drawn = QgsVectorLayerUtils.createFeature(layer, NEW, {}, layer.createExpressionContext())
    layer.beginEditCommand("Feature added")
    layer.addFeature(drawn)
    layer.endEditCommand()
    (new,) = review.told[-1]
    row = review.feature(new)
    assert (row["status"], row["source"], row["relation"], row["reviewer"]) == ("added", "added", "added", "anna")
    assert row["reviewed_at"].startswith("20")
    assert layer.undoStack().index() == 1
    old = review.feature(review.queue.uid_at(0))
    layer.beginEditCommand("Features pasted")
    for take_over in (old, QgsFeature(layer.fields())):  # another plugin need not know of default values
        copy = QgsFeature(take_over)
        copy.setGeometry(NEW)
        copy.setAttribute(0, None)
        layer.addFeature(copy)
    layer.endEditCommand()
    assert review.queue.total == 19
    uids = [feature["uid"] for feature in layer.getFeatures()]
    assert len(set(uids)) == 19
    assert all(uids)
    pasted = [feature for feature in layer.getFeatures() if feature.id() < 0]
    assert [(one["status"], one["source"], one["component"] in (None, NULL)) for one in pasted] == [("added", "added", True)] * 3
    assert [row[1] for row in journal(review.path)][:3] == ["add"] * 3
    review.undo()
    assert review.queue.total == 17
    assert queue_agrees(review)


def test_restricted_outline_drawn_with_qgis(review: Any) -> None:
    uid = review.queue.uid_at(3)
    review.show(uid)
    layer = review.restricted
    layer.beginEditCommand("Feature added")
    layer.addFeature(QgsVectorLayerUtils.createFeature(layer, NEW, {}, layer.createExpressionContext()))
    layer.endEditCommand()
    assert review.restricted_outline(uid).isGeosEqual(NEW)
    assert [row[1:3] for row in journal(review.path)] == [("restricted", uid)]
    review.undo()
    assert review.restricted_outline(uid).isEmpty()


def test_changes_outside_of_edit_commands(review: Any) -> None:
    (uid,) = of_case(review, 0)
    layer, fid = review.outlines, review.queue.get(uid)["fid"]
    index = layer.fields().lookupField("note")
    before = picture(review)
    layer.changeAttributeValue(fid, index, "seen")
    assert [row[1] for row in journal(review.path)] == ["attributes"]
    layer.undoStack().undo()
    layer.changeAttributeValue(fid, index, "seen twice")  # a new command in the place of the undone one
    assert [(row[1], row[3]) for row in journal(review.path)] == [("attributes", 1), ("attributes", 0)]
    layer.undoStack().undo()
    layer.undoStack().redo()
    assert [row[3] for row in journal(review.path)] == [1, 0]
    layer.changeGeometry(fid, NEW)
    assert review.queue.get(uid)["status"] == "edited"
    layer.deleteFeature(fid)
    assert uid not in review.queue
    for _ in range(3):
        review.undo()
    assert picture(review) == before
    assert queue_agrees(review)


def test_deletion_in_the_place_of_an_undone_change_is_no_redo(review: Any) -> None:
    (uid,) = of_case(review, 0)
    layer, fid = review.outlines, review.queue.get(uid)["fid"]
    layer.changeAttributeValue(fid, layer.fields().lookupField("note"), "seen")
    layer.undoStack().undo()
    layer.deleteFeature(fid)
    of_outlines = [row for row in journal(review.path, "action, undone, layer") if row[2] == form.OUTLINES]
    assert of_outlines == [("attributes", 1, form.OUTLINES), ("delete", 0, form.OUTLINES)]


def test_uid_never_changes(review: Any) -> None:
    uid = review.queue.uid_at(0)
    layer = review.outlines
    layer.beginEditCommand("Field calculator")
    layer.changeAttributeValue(review.queue.get(uid)["fid"], layer.fields().lookupField("uid"), "mine")
    layer.endEditCommand()
    assert review.feature(uid)["uid"] == uid


def test_person_discards_or_saves_by_qgis(review: Any) -> None:
    first, second = (review.queue.uid_at(position) for position in range(2))
    review.accept([first])
    assert review.outlines.commitChanges(True)
    QgsApplication.processEvents()
    assert review.outlines.isEditable()
    assert journal(review.path)[0][4] == 1
    review.reject([second], "snow")
    assert review.outlines.rollBack()
    QgsApplication.processEvents()
    assert review.outlines.isEditable()
    assert review.queue.get(second)["status"] == "unreviewed"
    assert [(row[1], row[3]) for row in journal(review.path)] == [("accept", 0), ("reject", 1)]
    assert len(review.texts) == 2
    assert review.discarded
    queue = review.queue
    review.set_comment(second, "later")
    review.mark_uncertain([first])
    review.save()
    assert "discarded" in review.redo_text()
    review.redo()
    assert review.queue.get(second)["status"] == "rejected"
    assert (review.queue.get(second)["comment"], review.queue.get(first)["status"]) == ("later", "uncertain")
    assert [row[3:] for row in journal(review.path)] == [(0, 1)] * 4
    assert not review.discarded
    assert review.queue is queue
    assert review.redo_text() == ""
    assert queue_agrees(review)
    review.accept([second])
    assert review.queue.get(second)["status"] == "accepted"


def test_what_was_discarded_is_offered_once_when_the_session_is_opened_again(review: Any, open_review: Callable[..., Any]) -> None:
    first, second = (review.queue.uid_at(position) for position in range(2))
    review.accept([first])
    review.reject([second], "snow")
    assert review.outlines.rollBack()
    QgsApplication.processEvents()
    review.set_comment(first, "later")
    path = review.path
    review.close()
    again = open_review(path)
    assert (again.queue.get(first)["status"], again.discarded) == ("unreviewed", {"outlines": [1, 2]})
    again.redo()
    assert [again.queue.get(uid)["status"] for uid in (first, second)] == ["accepted", "rejected"]
    assert again.queue.get(first)["comment"] == "later" and again.redo_text() == ""
    again.reject([first], "snow")
    assert again.outlines.rollBack()
    QgsApplication.processEvents()
    again.close()
    for offered in (True, False):
        again = open_review(path)
        assert bool(again.discarded) is offered and again.queue.get(first)["status"] == "accepted"
        again.close()


def test_discarded_edits_of_an_outline_that_an_update_took_away(review: Any, open_review: Callable[..., Any]) -> None:
    first, second = (review.queue.uid_at(position) for position in range(2))
    review.accept([first, second])
    review.set_outline(first, NEW, "edit")
    assert review.outlines.rollBack()
    QgsApplication.processEvents()
    path, fid = review.path, review.feature(first).id()
    review.close()
    file = gdal.OpenEx(str(path), gdal.OF_VECTOR | gdal.OF_UPDATE)
    file.GetLayerByName("outlines").DeleteFeature(fid)
    del file
    again = open_review(path)
    again.redo()
    assert first not in again.queue and again.queue.get(second)["status"] == "accepted"
    assert queue_agrees(again)


# accidents


def everything(review: Any) -> None:
    """One of each kind of edit, some undone, some saved."""
    uids = [review.queue.uid_at(position) for position in range(5)]
    review.accept(uids[:2])
    review.set_attributes({uids[0]: {"activity_class": "Relict", "reliability_front": 0}})
    review.save()
    review.reject([uids[2]], "shadow")
    review.undo()
    review.split(uids[0], ACROSS)
    added = review.add(NEW)
    review.set_comment(added, "drawn")
    review.set_restricted(added, NEW.buffer(-10, 2))
    review.set_restricted(uids[0], QgsGeometry())
    review.take_manual(uids[1])
    review.outlines.deleteFeature(review.queue.get(uids[4])["fid"])
    vertex_moved(review.outlines, review.queue.get(uids[3])["fid"])
    review.show(uids[3])


def test_journal_makes_unsaved_edits_again(open_review: Callable[..., Any], review: Any, tmp_path: Path) -> None:
    everything(review)
    end = picture(review)
    left = crash_copy(review.path, tmp_path / "left")
    review.close()
    again = open_review(left)
    assert picture(again) == end
    assert queue_agrees(again)
    assert ["restored" in text for text in again.texts] == [True]
    assert {row[4] for row in journal(left) if not row[3]} == {1}
    assert again.undo_text() == ""
    again.close()
    third = open_review(left)
    assert picture(third) == end
    assert third.texts == []


def test_crash_between_layer_and_journal_is_harmless(open_review: Callable[..., Any], review: Any, tmp_path: Path) -> None:
    everything(review)
    review.save()
    end, path = picture(review), review.path
    review.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE journal SET saved = 0")
    connection.close()
    again = open_review(path)
    assert picture(again) == end


KILLED = """
import importlib, os, pathlib, sys
sys.path[:0] = [{plugins!r}, {root!r}]
from qgis.core import QgsApplication, QgsGeometry, QgsProject
application = QgsApplication([], False)
application.initQgis()
session = importlib.import_module("rock_glacier_mapper.dialogs.review.session")
review = session.Review(pathlib.Path({path!r}), "ben", QgsProject.instance())
uids = [review.queue.uid_at(position) for position in range(3)]
review.accept(uids[:1])
review.set_outline(uids[1], review.outline(uids[1]).buffer(10, 3), "level")
review.outlines.beginEditCommand("Moved vertex")
review.outlines.changeGeometry(review.queue.get(uids[2])["fid"], review.outline(uids[0]))
print(" ".join(uids), flush=True)
os.kill(os.getpid(), 9)
"""


def test_kill_in_the_middle_of_an_edit(package: Any, open_review: Callable[..., Any], tmp_path: Path) -> None:
    path = make_review(tmp_path)
    inputs = {entry: hashlib.sha256(entry.read_bytes()).hexdigest() for entry in tmp_path.iterdir() if entry != path}
    plugins = next(entry for entry in sys.path if (Path(entry) / "rock_glacier_mapper").is_dir())
    program = KILLED.format(plugins=plugins, root=str(ROOT), path=str(path))
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    first, second, third = child.stdout.split()[-3:]
    review = open_review(path)
    assert [review.queue.get(uid)["status"] for uid in (first, second, third)] == ["accepted", "edited", "unreviewed"]
    assert review.outline(second).area() > 300 * 300
    assert review.outline(third).area() == pytest.approx(200 * 300)
    assert any("restored" in text for text in review.texts)
    review.close()
    assert {entry: hashlib.sha256(entry.read_bytes()).hexdigest() for entry in inputs} == inputs


@pytest.mark.parametrize("how", ["outlines", "restricted", "predicted", "reference", "tiles", "all layers", "clear"])
def test_layer_removed_while_reviewing(how: str, open_review: Callable[..., Any], review: Any, qgis_parent: Any) -> None:
    everything(review)
    end, path = picture(review), review.path
    closed: list[bool] = []
    review.closed.connect(lambda: closed.append(True))
    project = QgsProject.instance()
    if how == "all layers":
        project.removeMapLayers(list(project.mapLayers()))
    elif how == "clear":
        project.clear()
    else:
        project.removeMapLayer(getattr(review, how).id())
    QgsApplication.processEvents()
    assert closed == [True]
    assert not review.is_open
    assert project.mapLayers() == {}
    assert project.layerTreeRoot().children() == []
    assert any("removed" in text for text in review.texts)
    again = open_review(path)
    assert picture(again) == end
    assert again.texts == []


def test_raster_removed_while_reviewing(review: Any) -> None:
    QgsProject.instance().removeMapLayer(review.dem.id())
    assert review.is_open
    assert review.dem is None


def test_layers_are_still_there_when_closing_is_told(review: Any) -> None:
    seen: list[tuple[bool, bool]] = []
    review.closed.connect(lambda: seen.append((review.is_open, review.outlines.isValid())))
    review.close()
    assert seen == [(False, True)]


def test_the_project_is_not_changed_by_a_review(open_review: Callable[..., Any], tmp_path: Path) -> None:
    """QGIS, whose window marks a project by what comes and goes, would ask whether to save it."""
    project = QgsProject.instance()
    project.layersAdded.connect(lambda _layers: project.setDirty(True))
    project.layersRemoved.connect(lambda _names: project.setDirty(True))
    for was_changed in (False, True):
        project.setDirty(was_changed)
        review = open_review(make_review(tmp_path)) if not was_changed else open_review(tmp_path / "review.gpkg")
        assert project.isDirty() == was_changed
        review.accept([review.queue.uid_at(0)])
        review.close()
        assert project.isDirty() == was_changed and not project.mapLayers()


def test_projects_own_raster_is_used_and_left(open_review: Callable[..., Any], tmp_path: Path) -> None:
    from qgis.core import QgsRasterLayer  # noqa: PLC0415

    path = make_review(tmp_path)
    own = QgsProject.instance().addMapLayer(QgsRasterLayer(str(tmp_path / "dem.tif"), "mine"))
    review = open_review(path)
    assert review.dem is own
    review.close()
    assert not sip.isdeleted(own)
    assert list(QgsProject.instance().mapLayers()) == [own.id()]


@pytest.mark.parametrize("how", ["as it was", "moved with its folder", "in another group"])
def test_layers_that_a_project_was_saved_with_give_way(how: str, module: Any, open_review: Callable[..., Any], tmp_path: Path) -> None:
    folder, project = tmp_path / "before", QgsProject.instance()
    folder.mkdir()
    review = open_review(make_review(folder))
    assert module("dialogs.review.session").left_in(project) == []
    assert project.write(str(folder / "project.qgz"))
    review.close()
    if how == "moved with its folder":
        folder = folder.rename(tmp_path / "after")
    project.read(str(folder / "project.qgz"))
    layers = sorted(layer.name() for layer in project.mapLayers().values())
    root = project.layerTreeRoot()
    if how == "in another group":
        (group,) = root.findGroups()
        root.insertGroup(0, "mine").addChildNode(group.clone())
        root.removeChildNode(group)
    assert [path for _, path in module("dialogs.review.session").left_in(project)] == [folder / "review.gpkg"]
    open_review(folder / "review.gpkg")
    assert sorted(layer.name() for layer in project.mapLayers().values()) == layers


def test_session_is_open_elsewhere(open_review: Callable[..., Any], review: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="open already"):
        open_review(review.path)
    assert review.is_open
    review.accept([review.queue.uid_at(0)])
    assert len(journal(review.path)) == 1


@pytest.mark.parametrize("what", ["file", "folder"])
def test_read_only(
    what: str, open_review: Callable[..., Any], error: type[Exception], tmp_path: Path, module: Any, monkeypatch: Any
) -> None:
    path = make_review(tmp_path)
    if what == "file":
        path.chmod(0o444)
        monkeypatch.setattr(module("dialogs.review.session"), "_is_writable", lambda _path: False)  # root may write anyway
    else:
        monkeypatch.setattr("qgis.PyQt.QtCore.QLockFile.tryLock", lambda *_: False)
        monkeypatch.setattr("qgis.PyQt.QtCore.QLockFile.error", lambda self: type(self).LockError.PermissionError)
    with pytest.raises(error, match="Copy the session"):
        open_review(path)
    assert QgsProject.instance().mapLayers() == {}


def test_what_is_no_session(open_review: Callable[..., Any], error: type[Exception], tmp_path: Path) -> None:
    path = make_review(tmp_path)
    with pytest.raises(error, match="no review session"):
        open_review(tmp_path / "predicted.gpkg")
    with pytest.raises(error, match="cannot be opened"):
        open_review(tmp_path / "dem.tif")
    with pytest.raises(error, match="There is no session"):
        open_review(tmp_path / "nowhere.gpkg")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE settings SET value = '0' WHERE key = 'format'")
    connection.close()
    with pytest.raises(error, match="another version"):
        open_review(path)
    assert QgsProject.instance().mapLayers() == {}
    assert not list(tmp_path.glob("*.lock"))


def test_inputs_changed_or_gone(open_review: Callable[..., Any], tmp_path: Path) -> None:
    path = make_review(tmp_path)
    with open(tmp_path / "predicted.gpkg", "ab") as file:
        file.write(b"more")
    (tmp_path / "manual.gpkg").unlink()
    (tmp_path / "probability.tif").unlink()
    review = open_review(path)
    assert review.inputs_changed == ["predicted"]
    assert len(review.texts) == 3
    assert review.probability is None


@pytest.mark.parametrize("without", ["manual", "probability", "imagery", "dem"])
def test_without(without: str, open_review: Callable[..., Any], tmp_path: Path, error: type[Exception]) -> None:
    review = open_review(make_review(tmp_path, **{without: False}))
    uid = review.queue.uid_at(0)
    review.accept([uid])
    assert review.texts == []
    if without == "manual":
        assert review.reference_ground(uid).isEmpty()
        with pytest.raises(error, match="no manual outline"):
            review.take_manual(uid)
    else:
        assert getattr(review, without) is None


@pytest.mark.parametrize("rows", [0, 1])
def test_without_outlines_or_without_geometry(
    rows: int, open_review: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"uid": "u0", "source": "predicted", "status": "unreviewed", "geometry": reviews._polygon((LEFT, TOP, 10, 10))}
    monkeypatch.setattr(reviews, "_outlines", lambda *_: [dict(row) for _ in range(rows)])
    monkeypatch.setattr(reviews, "_write_layer", _without_geometry(reviews._write_layer))
    review = open_review(make_review(tmp_path, manual=False))
    assert review.queue.total == rows
    if rows:
        assert review.queue.get("u0")["area_km2"] is None
        review.reject(["u0"], "other")
    uid = review.add(NEW)
    review.save()
    assert review.queue.get(uid)["area_km2"] == pytest.approx(0.04, rel=1e-2)


def _without_geometry(write: Callable[..., None]) -> Callable[..., None]:
    def writing(dataset: Any, name: str, fields: Any, rows: list[dict[str, Any]], *rest: Any) -> None:
        write(dataset, name, fields, rows, *rest)
        if name == form.OUTLINES:
            dataset.ExecuteSQL("UPDATE outlines SET geom = NULL")

    return writing


def test_edits_that_cannot_be_made_again_do_not_leave_half_a_session(
    review: Any, module: Any, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_review: Callable[..., Any]
) -> None:
    everything(review)
    end, left = picture(review), crash_copy(review.path, tmp_path / "left")
    review.close()
    with monkeypatch.context() as context:
        context.setattr(QgsVectorLayer, "commitChanges", lambda *_args, **_more: False)
        with pytest.raises(error, match="could not be written"):
            open_review(left)
    assert QgsProject.instance().mapLayers() == {}
    assert picture(open_review(left)) == end


def test_place_is_kept(open_review: Callable[..., Any], review: Any) -> None:
    uid = review.queue.uid_at(5)
    review.show(uid)
    review.close()
    assert open_review(review.path).current == uid


def test_current_outline_that_is_deleted_is_left(review: Any) -> None:
    uid = review.queue.uid_at(0)
    seen: list[str] = []
    review.current_changed.connect(seen.append)
    review.show(uid)
    review.outlines.deleteFeature(review.queue.get(uid)["fid"])
    assert review.current == ""
    assert seen == [uid, ""]


def test_tiles(review: Any) -> None:
    review.visit_tile(1, True)
    row = review.tiles.getFeature(1)
    assert row["visited_by"] == "anna"
    review.visit_tile(1, False)
    assert str(review.tiles.getFeature(1)["visited_at"]) == "NULL"
    review.accept([review.queue.uid_at(0)])
    assert len(journal(review.path)) == 1


def test_sliver_of_three_vertices(review: Any, error: type[Exception]) -> None:
    uid = review.add(QgsGeometry.fromWkt("POLYGON((600000 3098000, 600100 3098000.001, 600050 3098000.002, 600000 3098000))"))
    review.accept([uid])
    review.set_restricted(uid, review.outline(uid))
    with pytest.raises(error, match="does not cut"):
        review.split(uid, ACROSS)
    assert review.queue.get(uid)["area_km2"] < 1e-6


def test_degrees(open_review: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from osgeo import ogr  # noqa: PLC0415

    def box(left: float, bottom: float) -> Any:
        corners = ((0, 0), (0.004, 0), (0.004, 0.004), (0, 0.004), (0, 0))
        ring = ", ".join(f"{left + x} {bottom + y}" for x, y in corners)
        return ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))")

    places = ((86.0, 28.0), (88.9, 30.9), (79.0, 33.0))
    rows = [
        {"uid": f"u{number}", "source": "predicted", "status": "unreviewed", "geometry": box(*place)} for number, place in enumerate(places)
    ]
    monkeypatch.setattr(reviews, "_outlines", lambda *_: rows)
    path = make_review(tmp_path, manual=False, probability=False, imagery=False, dem=False)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE gpkg_geometry_columns SET srs_id = 4326")
        connection.execute("UPDATE gpkg_contents SET srs_id = 4326 WHERE data_type = 'features'")
    connection.close()
    review = open_review(path)
    assert review.crs.authid() == "EPSG:4326"
    assert queue_agrees(review)
    assert review.queue.get("u0")["area_km2"] == pytest.approx(0.4 * 0.4 * 0.983 * 1.1085, rel=0.02)
    line = QgsGeometry.fromWkt("LINESTRING(85.9 28.002, 86.1 28.002)")
    assert len(review.split("u0", line)) == 2
    assert queue_agrees(review)


def test_attributes_of_the_input_may_be_called_anything(
    open_review: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "OWN_FIELDS", (("id", "integer"), ("note", "text"), ('Größe "x"; select', "text"), ("order", "text")))
    review = open_review(make_review(tmp_path))
    uid = review.queue.uid_at(0)
    review.set_attributes({uid: {'Größe "x"; select': "a'b\"c", "order": "ö"}})
    left = crash_copy(review.path, tmp_path / "left")
    review.close()
    again = open_review(left)
    assert again.feature(uid)['Größe "x"; select'] == "a'b\"c"
    assert again.feature(uid)["order"] == "ö"


def test_bulk_is_one_command(review: Any) -> None:
    uids = [review.queue.uid_at(position) for position in range(16)]
    review.accept(uids)
    rows = journal(review.path)
    assert {row[0] for row in rows} == {1}
    assert len(rows) == 16
    assert review.told == [uids]
    review.undo()
    assert review.queue.counts() == {"unreviewed": 16}


def test_journal_that_cannot_be_written_is_tried_again(review: Any, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = module("dialogs.review.journal").JournalError
    write = review._journal.write

    def full(_rows: Any) -> None:
        raise failure("disk full")

    first, second = (review.queue.uid_at(position) for position in range(2))
    monkeypatch.setattr(review._journal, "write", full)
    review.accept([first])
    assert any("disk full" in text for text in review.texts)
    assert journal(review.path) == []
    monkeypatch.setattr(review._journal, "write", write)
    review.accept([second])
    assert [row[2] for row in journal(review.path)] == [first, second]


def test_full_disk_keeps_the_review_open(review: Any, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failure, uid = module("dialogs.review.journal").JournalError, review.queue.uid_at(0)

    def full(_rows: Any) -> None:
        raise failure("disk full")

    with monkeypatch.context() as context:
        context.setattr(QgsVectorLayer, "commitChanges", lambda *_args, **_more: False)
        context.setattr(review._journal, "write", full)
        review.accept([uid])
        review.close()
        assert review.is_open
    review.close()
    assert not review.is_open
    assert [row[3:] for row in journal(review.path)] == [(0, 1)]


def test_failed_saving_leaves_all_to_the_journal(review: Any, open_review: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    everything(review)
    end = picture(review)
    with monkeypatch.context() as context:
        context.setattr(QgsVectorLayer, "commitChanges", lambda *_args, **_more: False)
        review.close()
    assert any("Nothing is lost" in text for text in review.texts)
    assert picture(open_review(review.path)) == end


def test_domains_are_choices_in_qgis_forms(review: Any) -> None:
    fields = review.outlines.fields()
    setup = review.outlines.editorWidgetSetup(fields.lookupField("activity_class"))
    assert setup.type() == "ValueMap"
    assert {"Active": "Active"} in setup.config()["map"]
    assert form.OUTLINES == "outlines"


def test_transaction_groups_are_refused(open_review: Callable[..., Any], error: type[Exception], tmp_path: Path) -> None:
    project = QgsProject.instance()
    project.setTransactionMode(Qgis.TransactionMode.AutomaticGroups)
    try:
        with pytest.raises(error, match="transaction"):
            open_review(make_review(tmp_path))
    finally:
        project.setTransactionMode(Qgis.TransactionMode.Disabled)


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_edits_survives_a_crash(seed: int, review: Any, open_review: Callable[..., Any], tmp_path: Path) -> None:
    """Whatever was done, undone and redone, by whom and in which order: the journal leads to what is on the screen."""
    dice = random.Random(seed)  # noqa: S311 to repeat it, not to hide it
    layer = review.outlines

    def some() -> str:
        return dice.choice([feature["uid"] for feature in layer.getFeatures()])

    def fid() -> int:
        return review.queue.get(some())["fid"]

    def shifted() -> QgsGeometry:
        geometry = review.outline(some())
        geometry.translate(dice.uniform(-20, 20), dice.uniform(-20, 20))
        return geometry

    def cut() -> None:
        uid = some()
        box = review.outline(uid).boundingBox()
        middle = box.yMinimum() + dice.uniform(0.2, 0.8) * box.height()
        review.split(uid, QgsGeometry.fromWkt(f"LINESTRING({box.xMinimum() - 1} {middle}, {box.xMaximum() + 1} {middle})"))

    def broken() -> None:
        with pytest.raises(ZeroDivisionError), review.command("edit", "broken"):
            layer.changeGeometry(fid(), shifted())
            raise ZeroDivisionError

    def native(*deeds: Callable[[], Any]) -> None:
        layer.beginEditCommand("by a tool")
        for deed in deeds:
            deed()
        layer.endEditCommand()

    note = layer.fields().lookupField("note")
    deeds: list[Callable[[], Any]] = [
        lambda: review.accept(list({some(), some()})),
        lambda: review.reject([some()], "snow"),
        lambda: review.reset([some()]),
        lambda: review.set_outline(some(), shifted(), "level"),
        cut,
        broken,
        lambda: review.add(shifted()),
        lambda: review.set_restricted(some(), shifted()),
        lambda: review.set_restricted(some(), QgsGeometry()),
        lambda: native(lambda: layer.changeGeometry(fid(), shifted()), lambda: layer.deleteFeature(fid())),
        lambda: native(lambda: layer.addFeature(QgsVectorLayerUtils.createFeature(layer, shifted()))),
        lambda: layer.changeGeometry(fid(), shifted()),
        lambda: layer.changeAttributeValue(fid(), note, str(dice.random())),
        lambda: layer.deleteFeature(fid()),
        *[review.undo] * 4,
        *[review.redo] * 3,
        lambda: layer.undoStack().undo(),
        lambda: layer.undoStack().redo(),
    ]
    for number in range(60):
        dice.choice(deeds)()
        QgsApplication.processEvents()
        if number == 30:
            review.save()
    assert queue_agrees(review)
    end = picture(review)
    again = open_review(crash_copy(review.path, tmp_path / "left"))
    assert differences(picture(again), end) == {}
    assert queue_agrees(again)
