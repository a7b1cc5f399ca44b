"""``processing.run`` of Assess accuracy with the engine: what a person gets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import processing
import pytest
from qgis.core import (
    QgsFeature,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProject,
    QgsVectorLayer,
)

from tests.plugin.samples import Listener, polygon_layer, rows_of, save, square, write_raster

LEFT, BOTTOM = 600000, 3099000


@pytest.fixture
def run(plugin, engine, qgis_new_project):
    """Run the algorithm; its results."""

    def run_algorithm(listener=None, context=None, **parameters):
        return processing.run("rockglacier:assessaccuracy", parameters, feedback=listener or Listener(), context=context)

    return run_algorithm


@pytest.fixture
def layers():
    """Predicted and reference outlines: one found with an IoU of 0.6, one missed, one false."""
    reference = polygon_layer("field=id:int", [(square(LEFT, BOTTOM, 200), [1]), (square(LEFT + 2000, BOTTOM, 100), [2])])
    predicted = polygon_layer("field=id:int", [(square(LEFT + 50, BOTTOM, 200), [1]), (square(LEFT + 4000, BOTTOM, 300), [2])])
    return predicted, reference


def test_with_everything(run, layers, tmp_path):
    predicted, reference = layers
    outputs = {"OUTPUT": "layer.gpkg", "TABLE": "table.gpkg", "REPORT": "report.html", "JSON": "numbers.json", "FIGURES": "figures"}
    outputs = {name: str(tmp_path / file) for name, file in outputs.items()}
    around = save(polygon_layer("field=id:int", [(square(LEFT - 100, BOTTOM - 100, 3000), [1])]), tmp_path / "around.gpkg")
    results = run(
        PREDICTED=predicted, REFERENCE=reference, AREA_OF_INTEREST=str(around), MATCH_RULE="iou", MIN_IOU=0.55, PIXEL_SIZE=5, **outputs
    )
    assert {name: results[name] for name in outputs} == outputs
    assert (results["PRODUCERS_ACCURACY"], results["USERS_ACCURACY"]) == (0.5, 1.0)
    assert results["IOU"] == pytest.approx(30000 / 60000, rel=1e-3)
    assert results["F1"] == pytest.approx(60000 / 90000, rel=1e-3)
    assert results["AREA_DEVIATION"] == pytest.approx(0, abs=0.01)
    numbers = json.loads(Path(outputs["JSON"]).read_text(encoding="utf-8"))
    assert numbers["settings"] == {
        "match_rule": "iou", "min_overlap": 0.5, "min_iou": 0.55, "sliver": 0.05, "pixel_size_m": 5.0, "area_of_interest": True,
    }  # fmt: skip
    assert sorted(row["kind"] for row in rows_of(outputs["OUTPUT"])) == ["1-1", "1-1", "missed"]
    assert [row["kind"] for row in rows_of(outputs["TABLE"])] == ["1-1", "missed"]
    assert Path(outputs["REPORT"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert len(list(Path(outputs["FIGURES"]).iterdir())) == 6


def test_the_report_alone_in_a_temporary_file(run, layers):
    results = run(PREDICTED=layers[0], REFERENCE=layers[1], REPORT="TEMPORARY_OUTPUT")
    assert set(results) == {"REPORT", "PRODUCERS_ACCURACY", "USERS_ACCURACY", "F1", "IOU", "AREA_DEVIATION"}
    assert Path(results["REPORT"]).suffix == ".html" and Path(results["REPORT"]).stat().st_size > 10_000


def test_selected_outlines_and_a_probability_raster(run, layers, tmp_path):
    predicted, reference = layers
    QgsProject.instance().addMapLayers([predicted, reference])
    reference.selectByIds([1])
    raster = write_raster(tmp_path / "probability.tif", np.full((1, 200, 100), 0.5, np.float32))
    results = run(
        PREDICTED=predicted,
        REFERENCE=QgsProcessingFeatureSourceDefinition(reference.id(), True),
        PROBABILITY=str(raster),
        JSON=str(tmp_path / "numbers.json"),
    )
    numbers = json.loads((tmp_path / "numbers.json").read_text(encoding="utf-8"))
    assert numbers["inputs"]["reference"]["count"] == 1
    assert numbers["pixels"]["unit"] == "pixels"
    assert results["PRODUCERS_ACCURACY"] == 1.0


def test_what_is_unknown_is_none_and_is_said(run, layers):
    listener = Listener()
    nothing = polygon_layer("field=id:int", [])
    results = run(listener=listener, PREDICTED=layers[0], REFERENCE=nothing)
    assert results["PRODUCERS_ACCURACY"] is None
    assert any("no reference outline" in text for text in listener.warnings)


def test_the_layer_is_styled_by_kind(run, module, layers, tmp_path):
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    results = run(context=context, PREDICTED=layers[0], REFERENCE=layers[1], OUTPUT=str(tmp_path / "layer.gpkg"))
    layer = QgsVectorLayer(results["OUTPUT"], "correspondences", "ogr")
    module("processing_provider.layers").CORRESPONDENCES.apply(layer)
    parents = layer.renderer().rootRule().children()
    assert [parent.label() for parent in parents] == ["Reference outlines", "Predicted outlines"]
    assert [[rule.label() for rule in parent.children()] for parent in parents] == [
        ["1-1", "n-1", "1-n", "n-m", "missed"],
        ["1-1", "n-1", "1-n", "n-m", "false"],
    ]


def test_the_engine_s_words_reach_the_person(run, layers):
    with pytest.raises(QgsProcessingException, match="holds no polygon"):
        run(PREDICTED=layers[0], REFERENCE=layers[1], AREA_OF_INTEREST=polygon_layer("field=id:int", []))


def test_curved_outlines_with_heights(run):
    """A circle within its square."""
    circle = QgsVectorLayer("CurvePolygonZ?crs=EPSG:32645", "circle", "memory")
    feature = QgsFeature(circle.fields())
    x, y = LEFT + 100, BOTTOM + 100
    points = f"{x - 100} {y} 5000, {x} {y + 100} 5000, {x + 100} {y} 5000, {x} {y - 100} 5000, {x - 100} {y} 5000"
    feature.setGeometry(QgsGeometry.fromWkt(f"CurvePolygonZ(CircularStringZ({points}))"))
    assert circle.dataProvider().addFeature(feature)
    results = run(PREDICTED=circle, REFERENCE=polygon_layer("field=id:int", [(square(LEFT, BOTTOM, 200), [1])]))
    assert results["IOU"] == pytest.approx(np.pi / 4, rel=1e-2)
