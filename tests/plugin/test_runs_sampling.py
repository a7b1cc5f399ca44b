"""``processing.run`` of Design sample and Estimate area with the installed engine: points out, labels in, as a person does it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import processing
import pytest
from qgis.core import NULL, QgsProcessingContext, QgsProcessingException, QgsVectorLayer

from tests.plugin.samples import Listener, polygon_layer, rows_of, square, write_raster

OUTLINE = square(602000, 3098000, 1000)
AREA = square(600000, 3095000, 5000)


@pytest.fixture
def run(plugin, qgis_new_project):
    def run_algorithm(name, listener=None, **parameters):
        return processing.run(f"rockglacier:{name}", parameters, feedback=listener or Listener())

    return run_algorithm


@pytest.fixture
def predicted():
    return polygon_layer("field=id:int", [(OUTLINE, [1])])


@pytest.fixture
def area():
    return polygon_layer("field=id:int", [(AREA, [1])])


@pytest.fixture
def points(run, engine, predicted, area, tmp_path):
    """260 points, 40 at least in each stratum."""
    output = str(tmp_path / "points.gpkg")
    return run("designsample", PREDICTED=predicted, AREA_OF_INTEREST=area, SIZE=260, MIN_PER_STRATUM=40, OUTPUT=output)


def labelled(path: str, leave_out: int = 0) -> QgsVectorLayer:
    """What a person does: the left half of the outline is rock glacier, nothing else is."""
    layer = QgsVectorLayer(path, "points", "ogr")
    index = layer.fields().indexOf("reference")
    places = {feature.id(): feature.geometry().asPoint() for feature in list(layer.getFeatures())[leave_out:]}
    truth = {number: int(602000 <= point.x() < 602500 and 3098000 <= point.y() <= 3099000) for number, point in places.items()}
    assert layer.dataProvider().changeAttributeValues({number: {index: value} for number, value in truth.items()})
    return layer


class TestDesignSample:
    def test_points(self, points):
        rows = rows_of(points["OUTPUT"])
        assert points["COUNT"] == len(rows) == 260
        assert points["AREA_KM2"] == pytest.approx(25, rel=2e-3) and points["ANTICIPATED_AREA_CI_KM2"] > 0
        assert {row["stratum"] for row in rows} == {"predicted", "ring", "rest"}
        assert all(row["reference"] == NULL and row["comment"] == NULL for row in rows)
        assert all(bool(row["predicted"]) == (row["stratum"] == "predicted") for row in rows)

    def test_with_a_probability_raster(self, run, engine, predicted, tmp_path):
        values = np.zeros((1, 100, 100), np.float32)
        values[0, 5:15, 5:15] = 0.5
        probability = write_raster(tmp_path / "p.tif", values)  # 1 km2 south-east of 600000, 3100000
        results = run(
            "designsample", PREDICTED=predicted, PROBABILITY=str(probability), SIZE=30, MIN_PER_STRATUM=10, OUTPUT="TEMPORARY_OUTPUT"
        )
        strata = {row["stratum"]: row["stratum_area_km2"] for row in results["OUTPUT"].getFeatures()}
        assert set(strata) == {"probable", "rest"} and strata["probable"] == pytest.approx(0.01, rel=2e-3)

    def test_a_probability_that_cannot_be_read(self, algorithm, predicted):
        fine, message = algorithm("designsample").checkParameterValues(
            {"PREDICTED": predicted, "PROBABILITY": "/no/such/raster.tif", "OUTPUT": "TEMPORARY_OUTPUT"}, QgsProcessingContext()
        )
        assert not fine and "raster" in message

    def test_cancelled(self, run, engine, predicted, tmp_path):
        with pytest.raises(QgsProcessingException, match="Cancelled"):
            run("designsample", Listener(cancel_at="Starting"), PREDICTED=predicted, OUTPUT=str(tmp_path / "points.gpkg"))
        assert not (tmp_path / "points.gpkg").exists()

    def test_labels_are_chosen_from_a_list(self, module, points):
        layer = QgsVectorLayer(points["OUTPUT"], "points", "ogr")
        module("processing_provider.layers").SAMPLE.apply(layer)
        setup = layer.editorWidgetSetup(layer.fields().indexOf("reference"))
        assert setup.type() == "ValueMap"
        choices = {name: value for choice in setup.config()["map"] for name, value in choice.items()}
        assert {"rock glacier": "1", "not a rock glacier": "0", "cannot tell": "-1"}.items() <= choices.items()
        hidden = [layer.editorWidgetSetup(layer.fields().indexOf(name)).type() for name in ("stratum", "predicted")]
        assert hidden == ["Hidden", "Hidden"]
        assert {rule.label() for rule in layer.renderer().rootRule().children()} == {
            "to label",
            "rock glacier",
            "not a rock glacier",
            "cannot tell",
        }


class TestEstimateArea:
    def test_numbers(self, run, points, tmp_path):
        layer = labelled(points["OUTPUT"])
        results = run("estimatearea", SAMPLE=layer, TABLE=str(tmp_path / "t.gpkg"), JSON=str(tmp_path / "estimates.json"))
        assert results["MAPPED_AREA_KM2"] == pytest.approx(1, rel=2e-3)
        assert results["AREA_KM2"] == pytest.approx(0.5, abs=2 * results["AREA_CI_KM2"]) and results["AREA_CI_KM2"] < 0.2
        assert results["USERS_ACCURACY"] == pytest.approx(results["AREA_KM2"] / results["MAPPED_AREA_KM2"])
        assert results["PRODUCERS_ACCURACY"] == 1 and results["OVERALL_ACCURACY"] > 0.95
        assert (results["LABELLED"], results["UNLABELLED"]) == (260, 0)
        assert [row["quantity"] for row in rows_of(results["TABLE"])][:2] == ["area", "mapped_area"]
        assert json.loads(Path(results["JSON"]).read_text())["area"]["estimate"] == pytest.approx(results["AREA_KM2"])

    def test_points_without_a_label(self, run, points):
        listener = Listener()
        results = run("estimatearea", listener, SAMPLE=labelled(points["OUTPUT"], leave_out=60))
        assert (results["LABELLED"], results["UNLABELLED"]) == (200, 60)
        assert any("60 of 260 points have no label" in warning for warning in listener.warnings)

    def test_no_label_at_all(self, run, points):
        with pytest.raises(QgsProcessingException, match="No point of .* has a label"):
            run("estimatearea", SAMPLE=points["OUTPUT"])
