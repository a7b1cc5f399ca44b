"""``processing.run`` of Start review and Update review: what reaches the engine, and the real engine where it is installed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import processing
import pytest
from qgis.core import NULL, QgsProcessingException, QgsVectorLayer

from tests.plugin.reviews import make_review
from tests.plugin.samples import Listener, polygon_layer, rows_of, square

START, UPDATE = "rockglacier:startreview", "rockglacier:updatereview"


@pytest.fixture
def inputs(tmp_path):
    """Predicted and manual outlines of every relation, and rasters."""
    make_review(tmp_path, "made.gpkg")
    return tmp_path


def test_what_reaches_the_engine(plugin, false_engine, inputs):
    false_engine("error")
    rasters = {"IMAGERY": str(inputs / "imagery.tif"), "PROBABILITY": str(inputs / "probability.tif"), "DEM": str(inputs / "dem.tif")}
    parameters = {"PREDICTED": str(inputs / "predicted.gpkg"), "MANUAL": str(inputs / "manual.gpkg"), **rasters, "TILE_SIZE": 750}
    with pytest.raises(QgsProcessingException):
        processing.run(START, {**parameters, "OPERATOR": "Ada", "OUTPUT": str(inputs / "review.gpkg")}, feedback=Listener())
    job = json.loads((inputs / "job.json").read_text())
    assert (job["command"], job["predicted"], job["manual"]) == ("start_review", parameters["PREDICTED"], parameters["MANUAL"])
    assert (job["imagery"], job["probability"], job["dem"], job["restricted"]) == (*rasters.values(), None)
    assert (job["tile_size"], job["sliver"], job["operator"], job["output"]) == (750, 0.05, "Ada", str(inputs / "review.gpkg"))


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        (START, {"OUTPUT": "/tmp/review.shp"}, "GeoPackage"),
        (START, {"TILE_SIZE": 0}, "TILE_SIZE"),
        (UPDATE, {"SESSION": "made.gpkg", "OUTPUT": "/tmp/review.gpkg", "AREA_OF_INTEREST": "predicted.gpkg"}, "give PREDICTED"),
    ],
)
def test_what_is_refused(plugin, inputs, name, parameters, words):
    defaults = {"PREDICTED": str(inputs / "predicted.gpkg"), "OUTPUT": str(inputs / "review.gpkg")} if name == START else {}
    files = {key: str(inputs / value) for key, value in parameters.items() if key in ("SESSION", "AREA_OF_INTEREST")}
    with pytest.raises(QgsProcessingException, match=words):
        processing.run(name, {**defaults, **parameters, **files}, feedback=Listener())


def test_the_real_engine_starts_and_updates(plugin, engine, inputs):
    review = str(inputs / "review.gpkg")
    parameters = {"PREDICTED": str(inputs / "predicted.gpkg"), "MANUAL": str(inputs / "manual.gpkg"), "TILE_SIZE": 1000}
    results = processing.run(START, {**parameters, "PROBABILITY": str(inputs / "probability.tif"), "OUTPUT": review}, feedback=Listener())
    assert results["OUTPUT"] == review and (results["COUNT"], results["PREDICTED_COUNT"], results["MANUAL_COUNT"]) == (16, 14, 13)
    found = {name: results[name] for name in ("ONE_TO_ONE", "SEVERAL_MANUAL", "SEVERAL_PREDICTED", "SEVERAL_OF_BOTH", "MISSED", "FALSE")}
    assert list(found.values()) == [3, 2, 4, 2, 2, 3] and results["TILES"] >= 4 and results["TILE_SIZE_USED"] == 1000

    twin = {row["source_id"] + row["source"]: row for row in rows_of(f"{inputs / 'made.gpkg'}|layername=outlines")}
    for row in rows_of(f"{review}|layername=outlines"):
        made = twin[row["source_id"] + row["source"]]
        assert row["relation"] == made["relation"]
        for name in ("iou", "area_deviation", "boundary_distance_m"):
            assert row[name] == (made[name] if made[name] == NULL else pytest.approx(made[name], abs=0.05))
        if row["source"] == "predicted":
            assert row["probability"] == pytest.approx(made["probability"], abs=1e-3)

    new = polygon_layer("field=id:int", [(square(600100, 3099600, 200), [1]), (square(601000, 3098000, 300), [2])])
    results = processing.run(UPDATE, {"SESSION": review, "PREDICTED": new, "OUTPUT": review}, feedback=Listener())
    assert results["OUTPUT"] == review and (results["FOUND"], results["LOST"], results["UNCHANGED"], results["DECIDED"]) == (1, 13, 1, 0)
    assert results["MANUAL_UNCHANGED"] == 2 and not results["IS_UNCHANGED"] and results["COUNT"] == results["UNDECIDED"]
    again = processing.run(UPDATE, {"SESSION": review, "PREDICTED": new, "OUTPUT": "TEMPORARY_OUTPUT"}, feedback=Listener())
    assert again["IS_UNCHANGED"] and again["OUTPUT"].endswith(".gpkg")

    far = polygon_layer("field=id:int", [(square(601600, 3098000, 100), [1])])
    area = polygon_layer("field=id:int", [(square(601500, 3097900, 400), [1])])
    parameters = {"SESSION": review, "PREDICTED": far, "AREA_OF_INTEREST": area, "OUTPUT": review}
    results = processing.run(UPDATE, parameters, feedback=Listener())
    assert (results["FOUND"], results["LOST"], results["UNCHANGED"]) == (1, 0, 2)


def test_a_session_of_a_layer_in_memory(plugin, engine, tmp_path):
    predicted = polygon_layer("field=id:int", [(square(600000, 3099000, 200), [7])])
    results = processing.run(START, {"PREDICTED": predicted, "OUTPUT": "TEMPORARY_OUTPUT"}, feedback=Listener())
    assert (results["COUNT"], results["MANUAL_COUNT"], results["MISSED"]) == (1, None, None)
    assert QgsVectorLayer(f"{results['OUTPUT']}|layername=outlines", "", "ogr").featureCount() == 1
    with closing(sqlite3.connect(results["OUTPUT"])) as connection:
        assert connection.execute("SELECT count(*) FROM journal").fetchone() == (0,)
