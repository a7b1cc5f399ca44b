"""Sessions of several people to one: what is settled, what becomes a conflict, and that nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import CRS

from engine.errors import Cancelled, EngineError
from engine.parameters import check_job
from engine.reporting import SilentReporter
from engine.review_file import Session
from engine.review_merge import merge_reviews
from engine.vectors import reproject
from jobs import MergeReviewsJob
from review_session import OUTLINES, PREDICTED, RESTRICTED, TILES
from tests.engine.reviews import UTM, Review, box, read, rows_of

EARLY, LATE = "2026-11-20T10:00:00.000Z", "2026-11-21T15:30:00.000Z"


@pytest.fixture
def start() -> Review:
    """Three predicted outlines and two tiles, as everybody gets them."""
    review = Review(operator="")
    for number, uid in enumerate("abc"):
        review.predict(uid, box(500 * number, 0))
    for col in (0, 1):
        review.rows[TILES].append({"row": 0, "col": col, "geometry": box(1000 * col, 0, 1000, 1000)})
    return review


Merge = Callable[..., tuple[Session, dict[str, Any]]]


@pytest.fixture
def merge(tmp_path: Path) -> Merge:
    def merged(*reviews: Review, reporter: SilentReporter | None = None, **options: Any) -> tuple[Session, dict[str, Any]]:
        paths = [review.write(tmp_path / f"review {number}.gpkg") for number, review in enumerate(reviews)]
        job = MergeReviewsJob(tuple(paths), str(tmp_path / "merged.gpkg"), **options)
        check_job(job)
        result = merge_reviews(job, reporter or SilentReporter())
        return read(job.output), result

    return merged


def two(start: Review) -> tuple[Review, Review]:
    return start.copy("Ada 1"), start.copy("Bo 1")


class TestSettled:
    def test_nobody_did_anything(self, start, merge):
        session, result = merge(*two(start))
        assert list(rows_of(session)) == ["a", "b", "c"] and result["decided"] == result["conflicts"] == result["merged"] == 0

    def test_what_one_decided_is_so(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "accept", "a", status="accepted")
        bo.do("Bo", "reject", "b", status="rejected", reason="moraine")
        session, result = merge(ada, bo)
        rows = rows_of(session)
        assert [(rows[uid]["status"], rows[uid]["reviewer"]) for uid in "abc"] == [
            ("accepted", "Ada"),
            ("rejected", "Bo"),
            ("unreviewed", None),
        ]
        assert rows["b"]["reason"] == "moraine" and result["operators"] == {"Ada": 1, "Bo": 1}
        assert (result["count"], result["decided"], result["conflicts"], result["merged"]) == (3, 2, 0, 0)

    def test_both_alike_the_later_stays_and_comments_are_joined(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "accept", "a", at=LATE, status="accepted", comment="clear front")
        bo.do("Bo", "accept", "a", at=EARLY, status="accepted", comment="ridges")
        session, result = merge(ada, bo)
        row = rows_of(session)["a"]
        assert (row["status"], row["reviewer"], row["reviewed_at"]) == ("accepted", "Ada", LATE)
        assert row["comment"] == "ridges; clear front" and row["conflict"] is None and result["merged"] == 1

    def test_nearly_the_same_boundary_is_the_same(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "edit", "a", at=EARLY, geometry=box(0, 0, 300), status="edited")
        bo.do("Bo", "edit", "a", at=LATE, geometry=box(0, 0, 304), status="edited")
        session, result = merge(ada, bo)
        row = rows_of(session)["a"]
        assert row["status"] == "edited" and row["geometry"].area == pytest.approx(304 * 200) and result["merged"] == 1

    def test_a_decision_on_an_earlier_one_by_somebody_who_saw_it_counts(self, start, merge):
        start.do("Ada", "accept", "a", at=EARLY, status="accepted")
        ada, bo = two(start)
        bo.do("Bo", "reject", "a", at=LATE, status="rejected", reason="talus")
        session, result = merge(ada, bo)
        assert rows_of(session)["a"]["status"] == "rejected" and result["conflicts"] == 0
        assert [row["action"] for row in session.journal] == ["accept", "reject"]

    def test_what_was_undone_is_no_decision(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "reject", "a", undone=True, status="rejected")
        bo.do("Bo", "accept", "a", status="accepted")
        session, _ = merge(ada, bo)
        assert rows_of(session)["a"]["status"] == "accepted" and [row["undone"] for row in session.journal] == [1, 0]

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["the one who did it first", "the one who undid it first"])
    def test_what_one_undid_and_another_has_is_done(self, start, merge, order):
        start.do("Ada", "accept", "a", at=EARLY, status="accepted")
        undid = start.copy("run 2")
        undid.journal[0]["undone"] = 1
        undid.outline("a").update(status="unreviewed", reviewer=None, reviewed_at=None)
        copies = (start, undid)
        session, _ = merge(*(copies[number] for number in order))
        assert rows_of(session)["a"]["status"] == "accepted" and [row["undone"] for row in session.journal] == [0]

    def test_a_field_of_numbers_here_and_of_texts_there(self, start, merge):
        ada, bo = two(start)
        for row in ada.rows[OUTLINES]:
            row["note"] = 7
        ada.do("Ada", "accept", "a", status="accepted")
        bo.outline("b")["note"] = "steep"
        bo.do("Bo", "accept", "b", status="accepted")
        rows = rows_of(merge(ada, bo)[0])
        assert (rows["a"]["note"], rows["b"]["note"]) == ("7", "steep")

    def test_attributes_of_both_come_together(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "accept", "a", at=EARLY, status="accepted")
        ada.do("Ada", "attributes", "a", at=EARLY, activity_class="Active", reliability_front=2)
        bo.do("Bo", "attributes", "a", at=LATE, completeness="complete", reliability_front=2)
        session, result = merge(ada, bo)
        row = rows_of(session)["a"]
        assert (row["status"], row["activity_class"], row["completeness"], row["reliability_front"]) == (
            "accepted",
            "Active",
            "complete",
            2,
        )
        assert result["conflicts"] == 0

    def test_what_both_deleted_or_rejected_is_no_conflict(self, start, merge):
        ada, bo = two(start)
        ada.delete("Ada", "a")
        bo.delete("Bo", "a")
        ada.delete("Ada", "b")
        bo.do("Bo", "reject", "b", status="rejected", reason="snow")
        ada.delete("Ada", "c")
        session, result = merge(ada, bo)
        assert {uid: row["status"] for uid, row in rows_of(session).items()} == {"b": "rejected"} and result["conflicts"] == 0

    def test_what_one_added_is_taken(self, start, merge):
        ada, bo = two(start)
        bo.add("Bo", "new", box(3000, 0))
        session, result = merge(ada, bo)
        assert rows_of(session)["new"]["status"] == "added" and (result["added"], result["conflicts"]) == (1, 0)

    def test_restricted_outlines_and_visited_tiles_of_either(self, start, merge):
        ada, bo = two(start)
        ada.rows[TILES][0] |= {"visited_at": EARLY, "visited_by": "Ada"}
        bo.rows[TILES][1] |= {"visited_at": LATE, "visited_by": "Bo"}
        bo.do("Bo", "accept", "b", status="accepted")
        bo.restrict("Bo", "b", box(520, 20, 160, 160))
        session, _ = merge(ada, bo)
        assert list(session.layers[TILES].fields["visited_by"]) == ["Ada", "Bo"]
        restricted = rows_of(session, RESTRICTED)
        assert list(restricted) == ["b"] and restricted["b"]["geometry"].area == pytest.approx(160**2)


class TestConflicts:
    def check(self, session: Session, result: dict[str, Any], uid: str, *words: str) -> dict[str, Any]:
        row = rows_of(session)[uid]
        assert (row["status"], row["reviewer"], row["reason"], row["priority"]) == ("unreviewed", None, None, 1.0)
        for word in words:
            assert word in row["conflict"]
        assert result["conflicts"] >= 1
        return row

    def test_another_decision(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "accept", "a", at=EARLY, status="accepted")
        bo.do("Bo", "reject", "a", at=LATE, status="rejected", reason="moraine")
        session, result = merge(ada, bo)
        row = self.check(session, result, "a", "Ada accepted it, 2026-11-20 10:00 UTC", "Bo rejected it (moraine), 2026-11-21 15:30 UTC")
        assert row["conflict"].endswith("they do not agree whether it is a rock glacier") and result["versions"] == 0
        assert (result["conflicts"], result["decided"], result["merged"]) == (1, 0, 0)

    def test_another_boundary_both_versions_are_there(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "edit", "a", at=EARLY, geometry=box(0, 0, 400), status="edited")
        bo.do("Bo", "level", "a", at=LATE, geometry=box(0, 0, 300), status="edited", activity_class="Relict")
        session, result = merge(ada, bo)
        row = self.check(session, result, "a", "their boundaries share 75 % of the joint area", "this is the version of Ada")
        assert row["geometry"].area == pytest.approx(400 * 200) and row["activity_class"] == "Relict"
        (second,) = [other for other in rows_of(session).values() if other["parent"] == "a"]
        assert second["geometry"].area == pytest.approx(300 * 200) and "this is the version of Bo" in second["conflict"]
        assert (second["status"], second["component"], second["source_id"]) == ("unreviewed", 1, "a")
        assert (result["conflicts"], result["versions"], result["count"]) == (2, 1, 4)
        history = [(entry["uid"], entry["operator"], entry["command"]) for entry in session.journal]
        assert history == [("a", "Ada", 1), ("a", "Bo", 2), (second["uid"], "Bo", 2)]
        again, _ = merge(ada, bo)
        assert list(rows_of(again)) == list(rows_of(session))

    def test_an_edited_boundary_that_another_left(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "accept", "a", at=EARLY, status="accepted")
        bo.do("Bo", "edit", "a", at=LATE, geometry=box(0, 0, 400), status="edited")
        session, result = merge(ada, bo)
        row = self.check(session, result, "a", "share 50 %", "this is the version of Bo")
        (second,) = [other for other in rows_of(session).values() if other["parent"] == "a"]
        assert (row["geometry"].area, second["geometry"].area) == (pytest.approx(400 * 200), pytest.approx(200 * 200))

    def test_edited_by_one_and_rejected_by_the_first(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "reject", "a", status="rejected", reason="talus")
        bo.do("Bo", "edit", "a", geometry=box(0, 0, 400), status="edited")
        session, result = merge(ada, bo)
        row = self.check(session, result, "a", "Ada rejected it (talus)", "Bo edited it")
        assert row["geometry"].area == pytest.approx(400 * 200) and result["versions"] == 0

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_deleted_and_kept(self, start, merge, order):
        people = two(start)
        people[0].delete("Ada", "a")
        people[1].do("Bo", "accept", "a", status="accepted")
        session, result = merge(*(people[index] for index in order))
        self.check(session, result, "a", "Ada deleted it", "Bo accepted it")
        assert result["versions"] == 0

    def test_other_reasons(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "reject", "a", status="rejected", reason="talus")
        bo.do("Bo", "reject", "a", status="rejected", reason="moraine")
        self.check(*merge(ada, bo), "a", "Ada rejected it (talus)", "Bo rejected it (moraine)")

    def test_other_attributes(self, start, merge):
        ada, bo = two(start)
        for review, name, activity in ((ada, "Ada", "Active"), (bo, "Bo", "Relict")):
            review.do(name, "accept", "a", status="accepted")
            review.do(name, "attributes", "a", activity_class=activity)
        row = self.check(*merge(ada, bo), "a", "activity_class: Active (Ada), Relict (Bo)")
        assert row["activity_class"] == "Active"

    def test_other_restricted_outlines(self, start, merge):
        ada, bo = two(start)
        for review, name, side in ((ada, "Ada", 150), (bo, "Bo", 90)):
            review.do(name, "accept", "a", status="accepted")
            review.restrict(name, "a", box(20, 20, side, side))
        session, result = merge(ada, bo)
        self.check(session, result, "a", "restricted outlines differ")
        (second,) = [uid for uid, row in rows_of(session).items() if row["parent"] == "a"]
        areas = {uid: row["geometry"].area for uid, row in rows_of(session, RESTRICTED).items()}
        assert areas == {"a": pytest.approx(150**2), second: pytest.approx(90**2)}

    def test_outlines_that_several_drew_on_the_same_ground(self, start, merge):
        ada, bo = two(start)
        ada.add("Ada", "ada's", box(3000, 0))
        bo.add("Bo", "bo's", box(3050, 0))
        session, result = merge(ada, bo)
        self.check(session, result, "ada's", "Ada added it", "on the same ground Bo added it")
        self.check(session, result, "bo's", "on the same ground Ada added it")
        assert result["conflicts"] == 2

    def test_side_by_side_is_no_conflict(self, start, merge):
        ada, bo = two(start)
        ada.add("Ada", "ada's", box(3000, 0))
        bo.add("Bo", "bo's", box(3110, 0))
        _, result = merge(ada, bo)
        assert result["conflicts"] == 0

    def test_split_by_one_and_accepted_whole_by_another(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "split", "a", geometry=box(0, 0, 100), status="edited")
        ada.add("Ada", "part", box(100, 0, 100), parent="a", status="edited")
        bo.do("Bo", "accept", "a", status="accepted")
        session, result = merge(ada, bo)
        self.check(session, result, "a", "share 50 %")
        self.check(session, result, "part", "Ada edited it", "on the same ground Bo accepted it, 2026-11-20 10:00 UTC: a")

    def test_an_outline_over_one_that_its_author_knew(self, start, merge):
        ada, bo = two(start)
        ada.do("Ada", "accept", "a", status="accepted")
        ada.add("Ada", "over", box(0, 0, 150))
        bo.do("Bo", "accept", "a", status="accepted")
        session, result = merge(ada, bo)
        assert result["conflicts"] == 0 and rows_of(session)["over"]["status"] == "added"

    def test_three_people(self, start, merge):
        ada, bo = two(start)
        cem = start.copy("Cem 1")
        for review, name, width in ((ada, "Ada", 400), (bo, "Bo", 300), (cem, "Cem", 401)):
            review.do(name, "edit", "a", geometry=box(0, 0, width), status="edited")
        session, result = merge(ada, bo, cem)
        row = self.check(session, result, "a", "Ada edited it", "Bo edited it", "Cem edited it")
        assert row["geometry"].area == pytest.approx(400 * 200) and result["versions"] == 1

    def test_merged_again_with_a_decision_on_it(self, start, merge, tmp_path):
        ada, bo = two(start)
        ada.do("Ada", "accept", "a", at=EARLY, status="accepted")
        bo.do("Bo", "reject", "a", at=LATE, status="rejected", reason="moraine")
        session, _ = merge(ada, bo)
        judge = Review()
        judge.journal, judge.run = [dict(row) for row in session.journal], "judge 1"
        judge.rows[OUTLINES] = list(rows_of(session).values())
        judge.do("Cem", "accept", "a", at="2026-11-22T10:00:00.000Z", status="accepted", conflict=None)
        again, result = merge(ada, bo, judge)
        assert (rows_of(again)["a"]["status"], rows_of(again)["a"]["reviewer"], result["conflicts"]) == ("accepted", "Cem", 0)


class TestSessionsOfOtherAreas:
    @pytest.fixture
    def east(self) -> Review:
        review = Review("two", operator="Bo")
        review.run = "Bo 1"
        review.predict("x", box(10_000, 0), component=1)
        review.predict("y", box(1000, 40), component=2)
        review.rows[TILES].append({"row": 0, "col": 0, "geometry": box(10_000, 0, 1000, 1000)})
        return review

    def test_they_come_together_and_what_overlaps_is_a_conflict(self, start, east, merge):
        start.do("Ada", "accept", "c", status="accepted")
        session, result = merge(start, east)
        rows = rows_of(session)
        assert sorted(rows) == ["a", "b", "c", "x", "y"] and (result["added"], result["conflicts"]) == (5, 2)
        assert "Ada accepted it" in rows["c"]["conflict"] and "review 1.gpkg: not decided" in rows["c"]["conflict"]
        assert len(session.layers[TILES]) == 3 and session.settings["session"] == "one"

    def test_correspondences_keep_apart(self, start, east, merge):
        session, _ = merge(start, east)
        rows = rows_of(session)
        components = [rows[uid]["component"] for uid in "abcxy"]
        assert len(set(components)) == 5
        predicted = session.layers[PREDICTED]
        assert dict(zip(predicted.fields["name"], predicted.fields["component"], strict=True)) == dict(
            zip("abcxy", components, strict=True)
        )

    def test_in_another_coordinate_reference_system(self, start, merge):
        start.do("Ada", "accept", "a", status="accepted")
        degrees = CRS(4326)
        bo = start.copy("Bo 1")
        bo.do("Bo", "edit", "b", geometry=box(500, 0, 400), status="edited")
        bo.crs = degrees
        for rows in bo.rows.values():
            for row in rows:
                row["geometry"] = reproject(np.array([row["geometry"]]), UTM, degrees)[0]
        for row in bo.journal:
            for name in ("before_geometry", "after_geometry"):
                if row[name] is not None:
                    row[name] = shapely.to_wkb(reproject(shapely.from_wkb(np.array([row[name]])), UTM, degrees)[0])
        reporter = SilentReporter()
        session, result = merge(start, bo, reporter=reporter)
        assert session.crs.to_epsg() == 32645 and any("WGS 84" in text and "review 1.gpkg" in text for text in reporter.infos)
        assert rows_of(session)["b"]["geometry"].area == pytest.approx(400 * 200, rel=1e-6) and result["conflicts"] == 0
        drawn = [row["after_geometry"] for row in session.journal if row["after_geometry"] is not None]
        assert shapely.from_wkb(drawn[0]).area == pytest.approx(400 * 200, rel=1e-6)


class TestJournal:
    def test_in_the_order_of_time_with_commands_of_their_own(self, start, merge):
        start.do("Ada", "comment", "c", at="2026-11-19T09:00:00.000Z", comment="look again")
        ada, bo = two(start)
        ada.do("Ada", "accept", "a", "b", at=LATE, seconds=4, status="accepted")
        bo.do("Bo", "comment", "c", at=EARLY, comment="done")
        session, _ = merge(ada, bo)
        told = [(row["id"], row["command"], row["operator"], row["uid"]) for row in session.journal]
        assert told == [(1, 1, "Ada", "c"), (2, 2, "Bo", "c"), (3, 3, "Ada", "a"), (4, 3, "Ada", "b")]
        assert json.loads(session.journal[1]["after"]) == {"comment": "done"} and session.journal[2]["seconds"] == 4


class TestRefused:
    def test_unsaved_edits(self, start, merge):
        ada, bo = two(start)
        bo.do("Bo", "accept", "a", saved=False, status="accepted")
        with pytest.raises(EngineError) as raised:
            merge(ada, bo)
        assert raised.value.code == "review_unsaved" and "review 1.gpkg" in raised.value.text

    @pytest.mark.parametrize(
        "sessions", [("a.gpkg",), ("a.gpkg", "a.gpkg"), ("a.gpkg", "./x/../a.gpkg")], ids=["one", "twice", "twice by other names"]
    )
    def test_fewer_than_two(self, sessions, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "x").mkdir()
        (tmp_path / "a.gpkg").touch()
        with pytest.raises(EngineError) as raised:
            check_job(MergeReviewsJob(sessions, "merged.gpkg"))
        assert raised.value.code == "parameter" and "sessions" in raised.value.text

    def test_a_merged_session_with_decisions_of_its_own_is_not_replaced(self, start, merge, tmp_path):
        ada, bo = two(start)
        session, _ = merge(ada, bo)
        worked = start.copy("Cem 1")
        worked.do("Cem", "accept", "a", status="accepted")
        worked.write(tmp_path / "merged.gpkg")
        with pytest.raises(EngineError) as raised:
            merge(ada, bo)
        assert raised.value.code == "review_exists"
        assert rows_of(read(str(tmp_path / "merged.gpkg")))["a"]["reviewer"] == "Cem"

    def test_cancelled_it_leaves_nothing(self, start, merge, tmp_path):
        with pytest.raises(Cancelled):
            merge(*two(start), reporter=SilentReporter(cancel_after=4))
        assert not (tmp_path / "merged.gpkg").exists() and not list(tmp_path.glob(".*"))


def test_files_that_the_session_names_are_found_from_the_new_place(start, tmp_path):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "predicted.gpkg").touch()
    start.settings |= {"predicted": "/elsewhere/predicted.gpkg|predicted.gpkg", "dem": "|dem.tif", "discarded": '{"outlines": [1]}'}
    paths = (start.write(tmp_path / "ada" / "review.gpkg"), start.copy("Bo 1").write(tmp_path / "review.gpkg"))
    merge_reviews(MergeReviewsJob(paths, str(tmp_path / "merged.gpkg")), SilentReporter())
    settings = read(str(tmp_path / "merged.gpkg")).settings
    assert settings["predicted"] == f"{tmp_path}/ada/predicted.gpkg|ada/predicted.gpkg" and settings["dem"] == "|dem.tif"
    assert "discarded" not in settings  # its commands have other numbers in the merged journal
