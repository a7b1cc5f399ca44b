"""What comes out of a review: all of it or nothing, and the session stays as it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from rasterio.transform import from_origin

from engine import review_finish
from engine.errors import Cancelled, EngineError
from engine.outputs import whole_file
from engine.parameters import check_job
from engine.prepare import spectral_stack
from engine.reporting import SilentReporter
from engine.review_file import write_session
from engine.review_finish import finish_review
from engine.review_start import start_review
from engine.vectors import PolygonLayer, read_polygons, read_table, write_polygons
from jobs import STACK_BANDS, FinishReviewJob, StartReviewJob
from review_session import OUTLINES
from tests.engine import reviews
from tests.engine.reviews import UTM, Review, box, read
from tests.engine.scenes import mountains, write_raster

OURS = {"inventory.gpkg", "accuracy.html", "accuracy.json", "effort.html", "effort.json", "effort.csv"}


def reviewed() -> Review:
    """Accepted, edited, uncertain, rejected, undecided predictions, a manual outline that was taken, and a restricted outline."""
    review = Review(operator="Ada")
    for number, uid in enumerate(("accepted", "edited", "uncertain", "rejected", "waiting")):
        review.predict(uid, box(500 * number, 0), number + 1, relation="1-1")
    review.do("Ada", "accept", "accepted", seconds=60, status="accepted")
    review.do("Ada", "attributes", "accepted", activity_class="Relict", comment="old")
    review.do("Bo", "edit", "edited", geometry=box(500, 0, 300), status="edited")
    review.do("Bo", "uncertain", "uncertain", status="uncertain")
    review.do("Bo", "reject", "rejected", status="rejected", reason="moraine")
    review.add("Ada", "taken", box(3000, 0), source="manual", source_id="m1", status="added")
    review.restrict("Ada", "accepted", box(20, 20, 160, 160))
    return review


@pytest.fixture
def review() -> Review:
    return reviewed()


Finish = Callable[..., dict[str, Any]]


@pytest.fixture
def finish(review: Review, tmp_path: Path) -> Finish:
    path = review.write(tmp_path / "review.gpkg")

    def finished(reporter: SilentReporter | None = None, **options: Any) -> dict[str, Any]:
        job = FinishReviewJob(path, str(tmp_path / "finished"), **options)
        check_job(job)
        return finish_review(job, reporter or SilentReporter())

    return finished


@dataclass
class Outcome:
    """A finished session, made once for the tests that only look at it."""

    result: dict[str, Any]
    reporter: SilentReporter
    folder: Path


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("review")
    reporter = SilentReporter()
    path = reviewed().write(folder / "review.gpkg")
    job = FinishReviewJob(path, str(folder / "finished"), operator="Cem", imagery="PlanetScope 2024-08-01")
    return Outcome(finish_review(job, reporter), reporter, folder / "finished")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestEditedOutlines:
    def test_what_was_measured_of_another_boundary_is_empty(self, monkeypatch, tmp_path):
        monkeypatch.setitem(reviews.FIELDS, OUTLINES, (*reviews.FIELDS[OUTLINES], "elevation_mean", "maat", "maat_source", "longitude"))
        review = Review()
        for number, uid in enumerate("abc"):
            review.predict(uid, box(500 * number, 0), elevation_mean=4500.0, maat=-3.5, maat_source="ERA5", longitude=87.0)
        review.do("Ada", "accept", "a", status="accepted")
        review.do("Ada", "edit", "b", geometry=box(500, 0, 300), status="edited")
        review.do("Ada", "accept", "c", status="accepted")
        review.outline("c")["parent"] = "gone"
        path, reporter = review.write(tmp_path / "review.gpkg"), SilentReporter()
        finish_review(FinishReviewJob(path, str(tmp_path / "finished"), form="tprogi", accuracy=False), reporter)
        fields = read_polygons(tmp_path / "finished" / "inventory.gpkg", "TPRoGI_Extended_Footprint").fields
        for name, expected in (("ELEV_MEAN", 4500.0), ("MAAT", -3.5)):
            np.testing.assert_array_equal(np.ma.filled(fields[name], np.nan), [expected, np.nan, np.nan])
        assert any("2 outlines" in info and "Add attributes" in info for info in reporter.infos)

    def test_parts_of_a_split_outline_are_units_of_their_own(self, tmp_path):
        review = Review()
        given = "RGU270000N0870000E"
        review.predict("a", box(0, 0, 400), primary_id=given)
        review.do("Ada", "split", "a", geometry=box(0, 0, 300), status="edited")
        review.predict("b", box(300, 0, 100), parent="a", status="edited", primary_id=given)
        path = review.write(tmp_path / "review.gpkg")
        finish_review(FinishReviewJob(path, str(tmp_path / "finished"), accuracy=False), SilentReporter())
        ids = read_polygons(tmp_path / "finished" / "inventory.gpkg", "GO").fields["PrimaryID"].tolist()
        assert ids[0] == given and len(set(ids)) == 2

    def test_the_part_that_alone_is_kept_has_the_id(self, tmp_path):
        review = Review()
        given = "RGU270000N0870000E"
        review.predict("a", box(0, 0, 300), primary_id=given, status="rejected")
        review.predict("b", box(300, 0, 100), parent="a", status="edited", primary_id=given)
        path = review.write(tmp_path / "review.gpkg")
        finish_review(FinishReviewJob(path, str(tmp_path / "finished"), accuracy=False), SilentReporter())
        assert read_polygons(tmp_path / "finished" / "inventory.gpkg", "GO").fields["PrimaryID"].tolist() == [given]


class TestOutputs:
    def test_what_is_written(self, outcome):
        result, reporter = outcome.result, outcome.reporter
        assert names(outcome.folder) == OURS == {Path(file).name for file in result["files"]}
        assert (result["kept"], result["restricted"], result["rejected"], result["undecided"]) == (4, 1, 1, 1)
        assert result["samples"] is None and result["samples_count"] is None and result["minutes"] == 1
        assert result["edited_share"] == pytest.approx(1 / 3)
        assert [code for code, _ in reporter.warnings] == ["undecided"] and "1 of 6" in reporter.warnings[0][1]

    def test_the_inventory(self, outcome):
        result = outcome.result
        outlines = read_polygons(result["inventory"], "GO")
        fields = outlines.fields
        rows = dict(zip(zip(fields["WorkingID"], fields["Out.Type"], strict=True), range(len(outlines)), strict=True))
        methods = {working: fields["Method"][index] for (working, kind), index in rows.items() if kind == "Extended"}
        assert methods == {"accepted": "model", "edited": "model-edited", "uncertain": "model", "m1": "manual"}
        operators = {working: fields["Operator"][index] for (working, kind), index in rows.items() if kind == "Extended"}
        assert operators == {"accepted": "Ada", "edited": "Bo", "uncertain": "Bo", "m1": "Ada"}
        assert ("accepted", "Restricted") in rows and set(fields["Imagery"]) == {"PlanetScope 2024-08-01"}
        pair = [fields["PrimaryID"][rows["accepted", kind]] for kind in ("Extended", "Restricted")]
        assert pair[0] == pair[1]
        markers = read_table(result["inventory"], "PM")
        of_working = {working: index for index, working in enumerate(markers["WorkingID"])}
        assert markers["Acti.Cl."][of_working["accepted"]] == "Relict" and markers["Comment"][of_working["accepted"]] == "old"

    def test_the_prediction_is_held_against_what_was_decided(self, outcome):
        result = outcome.result
        numbers = json.loads(Path(result["accuracy_json"]).read_text(encoding="utf-8"))
        assert numbers["inputs"]["predicted"]["count"] == 4 and numbers["inputs"]["reference"]["count"] == 4
        assert {kind: entry["components"] for kind, entry in numbers["correspondences"]["by_kind"].items() if entry["components"]} == {
            **{"1-1": 3, "missed": 1, "false": 1}
        }
        assert numbers["inputs"]["predicted"]["file"] == "review as predicted.gpkg"
        assert (result["producers_accuracy"], result["users_accuracy"]) == (0.75, 0.75)
        assert "review as reviewed.gpkg" in Path(result["accuracy_report"]).read_text(encoding="utf-8")

    def test_the_effort(self, outcome):
        result = outcome.result
        numbers = json.loads(Path(result["effort_json"]).read_text(encoding="utf-8"))
        assert numbers["session"]["file"] == "review.gpkg" and numbers["outlines"]["decided"] == 5
        table = read_table(result["effort_table"])
        assert list(table["uid"]) == ["accepted", "edited", "uncertain", "rejected", "taken"]
        assert "Effort of the review review.gpkg" in Path(result["effort_report"]).read_text(encoding="utf-8")

    def test_without_accuracy(self, finish, tmp_path):
        result = finish(accuracy=False)
        assert names(tmp_path / "finished") == OURS - {"accuracy.html", "accuracy.json"}
        assert result["accuracy_report"] is None and result["producers_accuracy"] is None

    def test_with_samples(self, finish, tmp_path):
        place = {"transform": from_origin(499_000, 3_002_000, 10, 10), "crs": UTM.to_wkt(), "names": STACK_BANDS, "nodata": np.nan}
        stack = write_raster(tmp_path / "stack.tif", spectral_stack(mountains(300, 500)), **place)
        result = finish(stacks=(str(stack),), accuracy=False)
        folder = tmp_path / "finished" / "samples"
        assert names(tmp_path / "finished") == OURS - {"accuracy.html", "accuracy.json"} | {"samples"}
        assert result["samples"] == str(folder) and result["samples_count"] > 0 and (folder / "contact_sheet.png").is_file()

    @pytest.mark.parametrize(
        ("outlines", "words"),
        [(lambda: box(0, 0), "holds no outline that is a rock glacier"), (lambda: box(90_000, 0), "lies on a stack")],
        ids=["nothing accepted", "elsewhere"],
    )
    def test_nothing_to_take_samples_from(self, tmp_path, outlines, words):
        review = Review()
        review.predict("a", outlines())
        if words == "lies on a stack":
            review.do("Ada", "accept", "a", status="accepted")
        place = {"transform": from_origin(499_000, 3_002_000, 10, 10), "crs": UTM.to_wkt(), "names": STACK_BANDS, "nodata": np.nan}
        stack = write_raster(tmp_path / "stack.tif", spectral_stack(mountains(300, 500)), **place)
        session, reporter = review.write(tmp_path / "review.gpkg"), SilentReporter()
        result = finish_review(FinishReviewJob(session, str(tmp_path / "finished"), stacks=(str(stack),)), reporter)
        assert (result["samples"], result["samples_count"]) == (None, None) and names(tmp_path / "finished") == OURS
        told = [text for code, text in reporter.warnings if code == "no_samples"]
        assert len(told) == 1 and words in told[0] and "without training samples" in told[0]

    def test_samples_of_an_earlier_time_are_said(self, finish, tmp_path):
        (tmp_path / "finished" / "samples").mkdir(parents=True)
        reporter = SilentReporter()
        result = finish(reporter, accuracy=False)
        assert result["samples"] is None
        assert any(code == "earlier_samples" and "samples" in text for code, text in reporter.warnings)

    def test_nothing_decided(self, tmp_path):
        review = Review()
        review.predict("a", box(0, 0))
        job = FinishReviewJob(review.write(tmp_path / "review.gpkg"), str(tmp_path / "finished"))
        reporter = SilentReporter()
        result = finish_review(job, reporter)
        assert (result["kept"], result["undecided"], result["edited_share"], result["users_accuracy"]) == (0, 1, None, None)
        assert names(tmp_path / "finished") == OURS
        assert any("outline in review as reviewed.gpkg" in text for _, text in reporter.warnings)

    @pytest.mark.parametrize("stored", ["/elsewhere/probability.tif|probability.tif", "|probability.tif"], ids=["moved", "relative"])
    def test_a_probability_raster_that_is_gone_is_said(self, tmp_path, stored):
        review = Review(probability=stored)
        review.predict("a", box(0, 0))
        reporter = SilentReporter()
        finish_review(FinishReviewJob(review.write(tmp_path / "review.gpkg"), str(tmp_path / "finished")), reporter)
        assert any("probability.tif of the session is not there" in text for text in reporter.infos)

    def test_broken_outlines_are_said(self, review, tmp_path):
        review.outline("accepted")["geometry"] = shapely.Polygon([(5e5, 3e6), (5e5 + 99, 3e6 + 99), (5e5 + 99, 3e6), (5e5, 3e6 + 99)])
        review.outline("uncertain")["geometry"] = None
        reporter = SilentReporter()
        job = FinishReviewJob(review.write(tmp_path / "review.gpkg"), str(tmp_path / "finished"), accuracy=False)
        result = finish_review(job, reporter)
        assert result["kept"] == 3
        assert any("1 outlines were invalid and were repaired, 1 without an area" in text for _, text in reporter.warnings)

    def test_names_that_several_outlines_have(self, tmp_path):
        review = Review()
        review.predict("p", box(0, 0), source_id="1")
        review.do("Ada", "split", "p", geometry=box(0, 0, 100), status="edited")
        review.add("Ada", "part", box(100, 0, 100), source="predicted", source_id="1", parent="p", status="edited")
        review.add("Ada", "m", box(900, 0), source="manual", source_id="1")
        job = FinishReviewJob(review.write(tmp_path / "review.gpkg"), str(tmp_path / "finished"), accuracy=False)
        reporter = SilentReporter()
        finish_review(job, reporter)
        fields = read_polygons(tmp_path / "finished" / "inventory.gpkg", "GO").fields
        assert dict(zip(fields["WorkingID"], fields["Method"], strict=True)) == {
            **{"1": "model-edited", "part": "model-edited", "m": "manual"}
        }
        assert reporter.warnings == []

    def test_a_session_that_was_started(self, tmp_path):
        for name, outlines in (("predicted", [box(0, 0), box(600, 0)]), ("manual", [box(10, 0), box(3000, 0)])):
            write_polygons(tmp_path / f"{name}.gpkg", PolygonLayer(np.array(outlines, dtype=object), UTM), name)
        paths = {name: str(tmp_path / f"{name}.gpkg") for name in ("predicted", "manual")}
        job = StartReviewJob(paths["predicted"], str(tmp_path / "review.gpkg"), manual=paths["manual"], operator="Ada")
        start_review(job, SilentReporter())
        session = read(job.output)
        fields = session.outlines.fields
        fields["status"][:] = np.where(fields["source"] == "manual", "added", "accepted")
        with whole_file(job.output) as place:
            write_session(place, session)
        result = finish_review(FinishReviewJob(job.output, str(tmp_path / "finished"), operator="Ada"), SilentReporter())
        assert (result["kept"], result["undecided"], result["users_accuracy"]) == (3, 0, 1.0)
        assert result["producers_accuracy"] == pytest.approx(2 / 3) and result["minutes"] is None
        fields = read_polygons(result["inventory"], "GO").fields
        assert list(fields["Method"]) == ["model", "model", "manual"] and set(fields["Operator"]) == {"Ada"}


class TestAllOrNothing:
    def test_the_session_stays_as_it_is(self, finish, tmp_path):
        before = hashlib.sha256((tmp_path / "review.gpkg").read_bytes()).hexdigest()
        finish(accuracy=False)
        assert hashlib.sha256((tmp_path / "review.gpkg").read_bytes()).hexdigest() == before
        assert names(tmp_path) == {"review.gpkg", "finished"}

    def test_other_files_in_the_folder_stay_and_ours_are_replaced(self, finish, tmp_path):
        (tmp_path / "finished").mkdir()
        for name in ("notes.txt", "effort.html"):
            (tmp_path / "finished" / name).write_text("mine", encoding="utf-8")
        reporter = SilentReporter()
        finish(reporter, accuracy=False)
        assert names(tmp_path / "finished") == OURS - {"accuracy.html", "accuracy.json"} | {"notes.txt"}
        assert (tmp_path / "finished" / "notes.txt").read_text(encoding="utf-8") == "mine"
        assert any("effort.html" in text and "inventory.gpkg" not in text and "replaced" in text for text in reporter.infos)

    @pytest.mark.parametrize("part", ["_export", "_assess", "effort"])
    @pytest.mark.parametrize("error", [Cancelled(), EngineError("disk_full", "full")], ids=["cancelled", "failed"])
    def test_one_part_fails(self, finish, tmp_path, monkeypatch, part, error):
        def fail(*_arguments: object) -> None:
            raise error

        monkeypatch.setattr(review_finish, part, fail)
        with pytest.raises(EngineError):
            finish()
        assert names(tmp_path) == {"review.gpkg"}

    def test_one_part_fails_over_an_earlier_result(self, finish, tmp_path, monkeypatch):
        finish(accuracy=False)
        before = {path.name: path.read_bytes() for path in (tmp_path / "finished").iterdir()}
        with pytest.raises(EngineError):
            finish(stacks=(str(tmp_path / "no stack.tif"),), accuracy=False)
        assert {path.name: path.read_bytes() for path in (tmp_path / "finished").iterdir()} == before

    def test_cancelled_at_any_time_it_leaves_nothing(self, finish, tmp_path):
        for calls in (1, 4, 7):
            with pytest.raises(Cancelled):
                finish(SilentReporter(cancel_after=calls))
            assert names(tmp_path) == {"review.gpkg"}

    def test_unsaved_edits_are_refused(self, review, tmp_path):
        review.do("Bo", "accept", "waiting", saved=False, status="accepted")
        job = FinishReviewJob(review.write(tmp_path / "unsaved.gpkg"), str(tmp_path / "finished"))
        with pytest.raises(EngineError) as raised:
            finish_review(job, SilentReporter())
        assert raised.value.code == "review_unsaved" and names(tmp_path) == {"unsaved.gpkg"}
