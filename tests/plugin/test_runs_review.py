"""``processing.run`` of Merge reviews and Finish review with the installed engine, on sessions that people worked in."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import processing
import pytest
from qgis.core import (
    NULL,
    QgsApplication,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProject,
    QgsVectorLayer,
)

import review_session as form
from tests.plugin.reviews import make_review
from tests.plugin.samples import Listener, rows_of


def decide(path: Path, operator: str, statuses: dict[int, str], saved: int = 1) -> None:
    """Let somebody decide on outlines, by their place in the session; as the dock writes it."""
    at = "2026-11-20T10:00:00.000Z"
    layer = QgsVectorLayer(f"{path}|layername={form.OUTLINES}", "", "ogr")
    uids = [feature["uid"] for feature in layer.getFeatures()]
    provider = layer.dataProvider()
    ids = {feature["uid"]: feature.id() for feature in layer.getFeatures()}
    rows = []
    for command, (place, status) in enumerate(statuses.items(), 1):
        after = {"status": status, "reviewer": operator, "reviewed_at": at}
        names = layer.fields()
        provider.changeAttributeValues({ids[uids[place]]: {names.indexFromName(name): value for name, value in after.items()}})
        rows.append((command, at, operator, f"{operator} 1", form.OUTLINES, uids[place], "accept", 30.0, "{}", json.dumps(after), saved))
    del layer, provider
    with closing(sqlite3.connect(path)) as connection, connection:
        columns = 'command, at, operator, run, layer, uid, action, seconds, "before", "after", saved'
        connection.executemany(f"INSERT INTO {form.JOURNAL} ({columns}) VALUES ({', '.join('?' * 11)})", rows)


@pytest.fixture
def ada(tmp_path: Path) -> Path:
    """A session in which the first outline is accepted and the second rejected."""
    path = make_review(tmp_path, "ada.gpkg")
    shutil.copy(path, tmp_path / "bo.gpkg")
    decide(path, "Ada", {0: "accepted", 1: "rejected"})
    return path


@pytest.fixture
def bo(ada: Path) -> Path:
    """A copy of the same session in which the second is accepted, and the third."""
    decide(ada.with_name("bo.gpkg"), "Bo", {1: "accepted", 2: "accepted"})
    return ada.with_name("bo.gpkg")


@pytest.fixture
def run(plugin, qgis_new_project):
    def run_algorithm(name, listener=None, **parameters):
        return processing.run(f"rockglacier:{name}", parameters, feedback=listener or Listener())

    return run_algorithm


class TestMerge:
    def test_two_people(self, run, engine, ada, bo, tmp_path):
        results = run("mergereviews", SESSIONS=[str(ada), str(bo)], OUTPUT=str(tmp_path / "merged.gpkg"))
        count = len(rows_of(f"{ada}|layername=outlines"))
        assert results == {
            **{"OUTPUT": str(tmp_path / "merged.gpkg"), "COUNT": count, "DECIDED": 2, "CONFLICTS": 1, "MERGED": 0, "ADDED": 0},
        }
        rows = rows_of(f"{results['OUTPUT']}|layername=outlines")
        assert [row["status"] for row in rows[:3]] == ["accepted", "unreviewed", "accepted"]
        assert "Ada rejected it" in rows[1]["conflict"] and "Bo accepted it" in rows[1]["conflict"]

    def test_unsaved_edits_are_refused_in_words(self, run, engine, ada, tmp_path):
        decide(tmp_path / "bo.gpkg", "Bo", {1: "accepted"}, saved=0)
        with pytest.raises(QgsProcessingException, match="save it"):
            run("mergereviews", SESSIONS=[str(ada), str(tmp_path / "bo.gpkg")], OUTPUT=str(tmp_path / "merged.gpkg"))
        assert not (tmp_path / "merged.gpkg").exists()

    def test_one_session_is_too_few(self, algorithm, ada):
        parameters = {"SESSIONS": [str(ada)], "OUTPUT": "TEMPORARY_OUTPUT"}
        fine, message = algorithm("mergereviews").checkParameterValues(parameters, QgsProcessingContext())
        assert not fine and message


@pytest.fixture
def open_review(module, run):
    """Open sessions as the dock does; given back when the test has ended."""
    opened = []

    def opening(path: Path, operator: str):
        opened.append(module("dialogs.review.session").Review(path, operator, QgsProject.instance()))
        QgsApplication.processEvents()
        return opened[-1]

    yield opening
    for review in opened:
        review.close()
    QgsProject.instance().clear()


class TestWithTheDock:
    """Sessions that the dock's own code worked in."""

    def uids(self, review) -> list[str]:
        return [feature["uid"] for feature in review.outlines.getFeatures()]

    def test_a_session_that_is_open_and_saved_is_finished(self, run, engine, open_review, tmp_path):
        review = open_review(make_review(tmp_path), "Ada")
        first, second, third, fourth = self.uids(review)[:4]
        review.accept([first])
        review.set_outline(second, QgsGeometry(review.outline(second).buffer(20, 4)), "edit")
        review.reject([third], "moraine")
        review.accept([fourth])
        review.undo()
        with pytest.raises(QgsProcessingException, match="save it"):
            run("finishreview", SESSION=str(review.path), FOLDER=str(tmp_path / "finished"))
        review.save()
        results = run("finishreview", SESSION=str(review.path), FOLDER=str(tmp_path / "finished"))
        assert (results["KEPT"], results["REJECTED"], results["RESTRICTED"], results["EDITED_SHARE"]) == (2, 1, 2, 0.5)
        numbers = json.loads(Path(results["EFFORT_JSON"]).read_text(encoding="utf-8"))
        assert numbers["reasons"]["moraine"] == 1 and numbers["commands"] == {"done": 3, "undone": 1}
        assert 0.5 < numbers["edits"]["iou"]["median"] < 1 and numbers["operators"]["Ada"]["edited"] == 1
        methods = [row["Method"] for row in rows_of(f"{results['INVENTORY']}|layername=GO") if row["Out.Type"] == "Extended"]
        assert methods == ["model", "model-edited"] and review.is_open

    def test_people_disagree_and_somebody_settles_it(self, run, engine, open_review, tmp_path):
        paths = [make_review(tmp_path, "ada.gpkg"), tmp_path / "bo.gpkg"]
        shutil.copy(*paths)
        for path, operator, width in zip(paths, ("Ada", "Bo"), (0, 30)):
            review = open_review(path, operator)
            first, second = self.uids(review)[:2]
            if width:
                review.set_outline(first, QgsGeometry(review.outline(first).buffer(width, 4)), "edit")
            review.accept([first, second])
            review.close()
        results = run("mergereviews", SESSIONS=[str(path) for path in paths], OUTPUT=str(tmp_path / "merged.gpkg"))
        assert (results["CONFLICTS"], results["MERGED"], results["DECIDED"]) == (2, 1, 1)
        merged = open_review(tmp_path / "merged.gpkg", "Cem")
        bos, adas = [feature for feature in merged.outlines.getFeatures() if feature["conflict"]]
        assert bos["status"] == adas["status"] == "unreviewed" and (bos["uid"], adas["parent"]) == (first, first)
        assert bos.geometry().area() > adas.geometry().area()
        assert merged.queue.row_at(0)["conflict"] and merged.queue.row_at(1)["conflict"]
        merged.accept([first])
        statuses = lambda: [merged.feature(own["uid"])["status"] for own in (bos, adas)]  # noqa: E731
        assert statuses() == ["edited", "replaced"] and merged.feature(first)["conflict"] == NULL
        merged.undo()
        assert statuses() == ["unreviewed", "unreviewed"]
        merged.accept([adas["uid"]])
        assert statuses() == ["replaced", "accepted"]


class TestFinish:
    def test_everything(self, run, engine, ada, tmp_path):
        before = hashlib.sha256(ada.read_bytes()).hexdigest()
        listener = Listener()
        results = run("finishreview", listener, SESSION=str(ada), FOLDER=str(tmp_path / "finished"), OPERATOR="Team")
        names = {"inventory.gpkg", "accuracy.html", "accuracy.json", "effort.html", "effort.json", "effort.csv"}
        assert {path.name for path in (tmp_path / "finished").iterdir()} == names
        assert (results["KEPT"], results["REJECTED"], results["MINUTES"], results["EDITED_SHARE"]) == (1, 1, 1.0, 0.0)
        assert results["UNDECIDED"] == len(rows_of(f"{ada}|layername=outlines")) - 2 and "SAMPLES" not in results
        assert Path(results["EFFORT_REPORT"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
        (outline, *restricted) = rows_of(f"{results['INVENTORY']}|layername=GO")
        assert (outline["Operator"], outline["Method"]) == ("Ada", "model") and len(restricted) == results["RESTRICTED"] == 1
        assert (results["USERS_ACCURACY"], results["PRODUCERS_ACCURACY"]) == (0.5, 1.0)
        assert any("not decided" in text for text in listener.warnings)
        assert hashlib.sha256(ada.read_bytes()).hexdigest() == before

    def test_cancelled_it_leaves_nothing(self, run, engine, ada, tmp_path):
        with pytest.raises(QgsProcessingException):
            run("finishreview", Listener("effort of the review"), SESSION=str(ada), FOLDER=str(tmp_path / "finished"))
        assert not (tmp_path / "finished").exists()
