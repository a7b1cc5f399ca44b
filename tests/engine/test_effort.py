"""The effort of a review: what its journal says, with answers known by construction."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import shapely

from engine.effort import DEFINITIONS, Effort, effort
from engine.errors import Cancelled
from engine.matching import pair_iou
from engine.review_file import read_session, snapshot
from tests.engine.reviews import Review, box
from tests.engine.test_report import Page


def effort_of(review: Review, folder: Path) -> Effort:
    with snapshot(review.write(folder / "review.gpkg")) as place:
        return effort(place, read_session(place))


@pytest.fixture
def worked() -> Review:
    """Two people: 2 accepted (one in bulk with an uncertain one), 1 edited twice, 1 rejected, 1 undecided; one command undone."""
    review = Review(operator="Ada", created="2026-11-20T08:00:00Z")
    for number, uid in enumerate("abcdef"):
        review.predict(uid, box(500 * number, 0))
    review.do("Ada", "accept", "a", at="2026-11-20T10:00:00.000Z", seconds=30, status="accepted")
    review.do("Ada", "accept", "b", "c", at="2026-11-20T10:01:00.000Z", seconds=60, status="accepted")
    review.do("Ada", "uncertain", "c", at="2026-11-20T10:03:00.000Z", seconds=15, status="uncertain")
    review.do("Bo", "edit", "d", at="2026-11-21T10:00:00.000Z", seconds=90, geometry=box(1500, 0, 400), status="edited")
    review.do("Bo", "snap", "d", at="2026-11-21T10:01:00.000Z", seconds=30, geometry=box(1500, 0, 250), status="edited")
    review.do("Bo", "reject", "e", at="2026-11-21T10:02:00.000Z", status="rejected", reason="moraine")
    review.do("Bo", "reject", "f", at="2026-11-21T10:03:00.000Z", seconds=600, undone=True, status="rejected", reason="snow")
    return review


class TestNumbers:
    def test_what_was_decided(self, worked, tmp_path):
        numbers = effort_of(worked, tmp_path).numbers
        assert numbers["outlines"] == {"all": 6, "decided": 5, "undecided": 1, "conflicts": 0, "deleted": 0, "merged": 0, "in_bulk": 2}
        counts = {status: found["outlines"] for status, found in numbers["decisions"].items()}
        assert counts == {"accepted": 2, "edited": 1, "added": 0, "uncertain": 1, "rejected": 1, "replaced": 0}
        assert numbers["reasons"]["moraine"] == 1 and numbers["reasons"]["snow"] == 0
        assert numbers["commands"] == {"done": 6, "undone": 1} and numbers["undone_minutes"] == 10

    def test_the_time_of_a_command_is_shared_by_its_outlines(self, worked, tmp_path):
        result = effort_of(worked, tmp_path)
        minutes = dict(zip(result.outlines["uid"], result.outlines["minutes"].tolist(), strict=True))
        assert (minutes["a"], minutes["b"], minutes["c"], minutes["d"]) == (0.5, 0.5, 0.75, 2.0)
        assert np.isnan(minutes["e"])
        time = result.numbers["time"]
        assert time == {
            **{"outlines": 5, "timed": 4, "minutes": 3.75, "median_minutes": 0.625, "outlines_per_hour": 64.0},
            "recorded_minutes": 3.75,
        }
        assert result.numbers["decisions"]["rejected"] == {"outlines": 1, "timed": 0, "minutes": None, "median_minutes": None}

    def test_an_edit_is_what_lies_between_the_first_boundary_and_the_last(self, worked, tmp_path):
        result = effort_of(worked, tmp_path)
        edits = result.numbers["edits"]
        assert (edits["predicted_kept"], edits["edited"], edits["edited_share"]) == (4, 1, 0.25)
        assert edits["iou"]["median"] == pytest.approx(0.8, abs=1e-9)
        assert edits["area_change_percent"]["mean"] == pytest.approx(25, abs=1e-3)
        assert edits["area_change_km2"] == pytest.approx(0.01, rel=1e-3)
        # metres times distance: the old right side, its ends nearer to the new top and bottom; the new right side; what these gained
        expected = (2 * 50 * 25 + 100 * 50 + 200 * 50 + 2 * 50 * 25) / (800 + 900)
        assert edits["moved_m"]["median"] == pytest.approx(expected, rel=0.001)
        rows = dict(zip(result.outlines["uid"], result.outlines["iou"], strict=True))
        assert np.isnan(rows["a"])

    def test_a_boundary_that_bounds_the_same_ground_is_not_edited(self, tmp_path):
        review = Review()
        review.predict("a", box(0, 0))
        review.do("Ada", "edit", "a", geometry=box(0, 0).segmentize(50))
        review.do("Ada", "accept", "a", status="accepted")
        edits = effort_of(review, tmp_path).numbers["edits"]
        assert (edits["edited"], edits["edited_share"], edits["iou"]["n"]) == (0, 0.0, 0)

    def test_a_split_outline_is_one_outline_and_loses_no_area(self, tmp_path):
        review = Review()
        review.predict("a", box(0, 0, 400))
        review.do("Ada", "split", "a", geometry=box(0, 0, 300), status="edited")
        review.predict("b", box(300, 0, 100), parent="a", status="edited")
        review.predict("c", box(350, 0, 50), parent="b", status="edited")
        review.do("Ada", "split", "b", geometry=box(300, 0, 50), status="edited")
        edits = effort_of(review, tmp_path).numbers["edits"]
        assert (edits["predicted_kept"], edits["edited"], edits["area_change_km2"]) == (1, 1, None)

    def test_a_part_that_was_rejected_is_area_lost(self, tmp_path):
        review = Review()
        review.predict("a", box(0, 0, 400))
        review.do("Ada", "split", "a", geometry=box(0, 0, 300), status="edited")
        review.predict("b", box(300, 0, 100), parent="a", status="edited")
        review.do("Ada", "reject", "a", status="rejected", reason="moraine")
        result = effort_of(review, tmp_path)
        assert result.numbers["edits"]["predicted_kept"] == 1
        assert result.numbers["edits"]["area_change_percent"]["mean"] == pytest.approx(-75, abs=1e-3)
        rows = dict(zip(result.outlines["uid"], result.outlines["iou"], strict=True))
        assert np.isnan(rows["a"]) and rows["b"] == pytest.approx(0.25)

    def test_what_a_person_drew_and_drew_again_is_no_edit_of_a_prediction(self, tmp_path):
        review = Review()
        review.predict("a", box(0, 0))
        review.do("Ada", "accept", "a", status="accepted")
        review.add("Ada", "b", box(500, 0))
        review.do("Ada", "edit", "b", geometry=box(500, 0, 400), status="added")
        edits = effort_of(review, tmp_path).numbers["edits"]
        assert (edits["edited"], edits["iou"]["n"], edits["area_change_km2"]) == (0, 0, None)

    def test_versions_that_were_replaced_make_no_bulk(self, tmp_path):
        review = Review()
        review.predict("a", box(0, 0))
        review.predict("b", box(10, 0), parent="a")
        review.do("Ada", "accept", "a", "b", status="accepted")
        review.journal[-1]["after"] = '{"status": "replaced"}'
        assert effort_of(review, tmp_path).numbers["outlines"]["in_bulk"] == 0

    def test_operators(self, worked, tmp_path):
        operators = effort_of(worked, tmp_path).numbers["operators"]
        ada, bo = operators["Ada"], operators["Bo"]
        assert (ada["outlines"], ada["accepted"], ada["uncertain"], ada["commands"], ada["undone"]) == (3, 2, 1, 3, 0)
        assert (bo["outlines"], bo["edited"], bo["rejected"], bo["commands"], bo["undone"]) == (2, 1, 1, 3, 1)
        assert (ada["recorded_minutes"], bo["recorded_minutes"]) == (1.75, 2.0)
        assert (bo["edits"]["edited_share"], ada["edits"]["edited_share"]) == (1.0, 0.0)

    def test_days_and_actions(self, worked, tmp_path):
        numbers = effort_of(worked, tmp_path).numbers
        assert numbers["days"] == [
            {"day": "2026-11-20", "operator": "Ada", "outlines": 3},
            {"day": "2026-11-21", "operator": "Bo", "outlines": 2},
        ]
        assert {row["action"]: (row["commands"], row["outlines"], row["minutes"]) for row in numbers["actions"]} == {
            "accept": (2, 3, 1.5),
            "uncertain": (1, 1, 0.25),
            "edit": (1, 1, 1.5),
            "snap": (1, 1, 0.5),
            "reject": (1, 1, None),
        }

    def test_a_deleted_outline_is_counted_apart(self, tmp_path):
        review = Review()
        review.predict("a", box(0, 0))
        review.add("Ada", "b", box(400, 0))
        review.delete("Ada", "b")
        assert effort_of(review, tmp_path).numbers["outlines"] | {"in_bulk": 0} == {
            **{"all": 1, "decided": 0, "undecided": 1, "conflicts": 0, "deleted": 1, "merged": 0, "in_bulk": 0}
        }

    @pytest.mark.parametrize("into", ["b", "new"], ids=["into one of them", "into a new one"])
    def test_outlines_that_were_merged_are_one_edit(self, tmp_path, into):
        review = Review()
        review.predict("a", box(0, 0, 200))
        review.predict("b", box(200, 0, 400))
        review.predict("c", box(600, 0, 200))
        review.predict("far", box(3000, 0))
        review.do("Ada", "edit", "a", geometry=box(0, 0, 200, 100), seconds=30, status="edited")
        review.merge("Ada", into, "a", "b", "c", geometry=box(0, 0, 800), seconds=60, parent="b" if into == "new" else None)
        review.delete("Ada", "far")
        result = effort_of(review, tmp_path)
        numbers = result.numbers
        assert numbers["outlines"] | {"in_bulk": 0} == {
            **{"all": 1, "decided": 1, "undecided": 0, "conflicts": 0, "deleted": 1, "merged": 2, "in_bulk": 0}
        }
        assert (numbers["edits"]["predicted_kept"], numbers["edits"]["edited"]) == (1, 1)
        assert numbers["edits"]["iou"]["n"] == 0  # all of what was predicted, and nothing else, though "a" was smaller for a while
        assert result.outlines["minutes"].tolist() == pytest.approx([1.5]) and result.outlines["commands"].tolist() == [2]
        assert [(row["action"], row["commands"], row["outlines"]) for row in numbers["actions"]] == [("edit", 2, 1), ("delete", 1, 1)]

    def test_merged_and_deleted_then(self, tmp_path):
        review = Review()
        review.predict("a", box(0, 0))
        review.predict("b", box(200, 0))
        review.merge("Ada", "new", "a", "b", geometry=box(0, 0, 400), parent="a")
        review.delete("Ada", "new")
        outlines = effort_of(review, tmp_path).numbers["outlines"]
        assert (outlines["all"], outlines["deleted"], outlines["merged"]) == (0, 1, 1)

    def test_what_a_merge_left_out_is_area_lost(self, tmp_path):
        review = Review()
        review.predict("a", box(0, 0, 200))
        review.predict("b", box(200, 0, 200))
        review.merge("Ada", "a", "a", "b", geometry=box(0, 0, 400))
        review.do("Ada", "edit", "a", geometry=box(0, 0, 300), status="edited")
        edits = effort_of(review, tmp_path).numbers["edits"]
        assert edits["iou"]["median"] == pytest.approx(0.75) and edits["area_change_percent"]["mean"] == pytest.approx(-25, abs=1e-3)

    def test_outlines_without_a_shape_do_not_stop_it(self, tmp_path):
        review = Review()
        review.predict("a", box(0, 0))
        review.do("Ada", "edit", "a", geometry=shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9), (0, 0)]), status="edited")
        review.predict("b", box(500, 0))
        review.do("Ada", "accept", "b", status="accepted")
        review.outline("b")["geometry"] = None
        edits = effort_of(review, tmp_path).numbers["edits"]
        assert edits["edited"] == 1 and edits["iou"]["median"] == 0

    def test_cancelled(self, worked, tmp_path):
        def cancel():
            raise Cancelled

        with snapshot(worked.write(tmp_path / "review.gpkg")) as place, pytest.raises(Cancelled):
            effort(place, read_session(place), cancel)


class TestPage:
    def test_it_needs_nothing_else_and_says_the_numbers(self, worked, tmp_path):
        html = effort_of(worked, tmp_path).page()
        page = Page(html)
        assert len(page.resources) == 3 and all(resource.startswith("data:image/svg+xml;base64,") for resource in page.resources)
        text = " ".join(page.text.split())
        assert "5 of 6 outlines were decided, 4 of them with known time, 3.8 minutes in all" in text
        assert "Of 4 predicted outlines that were kept, 1 (25.0 %) were edited; Hu et al. (2023) edited 100 of 123." in text
        assert re.search(r"IoU 1 0\.800 0\.800", text) and "Effort of the review review.gpkg" in text
        for definition in DEFINITIONS.values():
            assert definition in text

    @pytest.mark.parametrize("outlines", [0, 1], ids=["none", "one"])
    def test_nothing_decided_is_a_dash(self, tmp_path, outlines):
        review = Review()
        for _ in range(outlines):
            review.predict("a", box(0, 0))
        text = Page(effort_of(review, tmp_path).page()).text
        assert "No predicted outline was kept" in text and "–" in text
        assert not re.search(r"\b(nan|None|inf)\b", text)

    def test_names_of_people_are_text(self, tmp_path):
        review = Review()
        review.predict("a", box(0, 0))
        review.do("<b>Bo & Co", "accept", "a", status="accepted")
        html = effort_of(review, tmp_path).page()
        assert "<b>Bo" not in html and "<b>Bo & Co" in Page(html).text


def test_iou_of_pairs():
    first = np.array([box(0, 0), box(0, 0), shapely.Polygon()], dtype=object)
    second = np.array([box(100, 0), box(900, 0), shapely.Polygon()], dtype=object)
    np.testing.assert_allclose(pair_iou(first, second), [1 / 3, 0, np.nan])
