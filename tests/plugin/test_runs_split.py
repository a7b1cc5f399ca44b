"""``processing.run`` of Split outlines: what reaches the engine, what comes back, and the real engine where it is installed."""

from __future__ import annotations

import json

import numpy as np
import processing
import pytest
from qgis.core import NULL, QgsFeature, QgsGeometry, QgsProcessingException, QgsVectorLayer

from tests.plugin.samples import Listener, polygon_layer, save, square, write_raster

NAME = "rockglacier:splitoutlines"


@pytest.fixture
def twins():
    """Two squares of 300 m, 200 m apart, joined by a corridor 60 m wide."""
    corridor = "POLYGON((600400 3099320,600700 3099320,600700 3099380,600400 3099380,600400 3099320))"
    shape = QgsGeometry.unaryUnion(
        [QgsGeometry.fromWkt(wkt) for wkt in (square(600150, 3099200, 300), square(600650, 3099200, 300), corridor)]
    )
    layer = polygon_layer("field=id:int&field=name:string", [])
    feature = QgsFeature(layer.fields())
    feature.setGeometry(shape)
    feature.setAttributes([9, "twins"])
    layer.dataProvider().addFeature(feature)
    return layer


@pytest.fixture
def probability(tmp_path):
    """110 x 110 pixels with a peak on each square."""
    rows, columns = np.mgrid[:110, :110] * 10.0
    peaks = [np.exp(-((columns - x) ** 2 + (rows - 650) ** 2) / (2 * 90**2)) for x in (300, 800)]
    return write_raster(tmp_path / "probability.tif", np.max(peaks, axis=0)[None].astype(np.float32))


def test_what_reaches_the_engine(plugin, false_engine, twins, probability, tmp_path):
    outlines = save(twins, tmp_path / "outlines.gpkg")
    false_engine("error")
    with pytest.raises(QgsProcessingException):
        parameters = {"INPUT": str(outlines), "PROBABILITY": str(probability), "MIN_AREA": 12000, "MIN_SCORE": 0.7}
        processing.run(NAME, {**parameters, "OUTPUT": "TEMPORARY_OUTPUT"}, feedback=Listener())
    job = json.loads((tmp_path / "job.json").read_text())
    assert (job["command"], job["input"], job["probability"], job["dem"]) == ("split", str(outlines), str(probability), None)
    assert (job["min_area"], job["min_score"], job["systems"], job["cuts"]) == (12000, 0.7, None, None)


def test_without_evidence_it_does_not_start(plugin, twins):
    with pytest.raises(QgsProcessingException, match="Give PROBABILITY, DEM, or both"):
        processing.run(NAME, {"INPUT": twins, "OUTPUT": "TEMPORARY_OUTPUT"}, feedback=Listener())


def test_the_real_engine_splits(plugin, engine, twins, probability, tmp_path):
    cuts = tmp_path / "cuts.gpkg"
    parameters = {"INPUT": twins, "PROBABILITY": str(probability), "OUTPUT": "TEMPORARY_OUTPUT", "SYSTEMS": "TEMPORARY_OUTPUT"}
    results = processing.run(NAME, {**parameters, "CUTS": str(cuts)}, feedback=Listener())
    assert (results["COUNT"], results["SYSTEMS_COUNT"], results["CUTS_MADE"]) == (2, 1, 1)
    units = [feature.attributeMap() for feature in results["OUTPUT"].getFeatures()]
    assert [(unit["name"], unit["system_id"], unit["unit_id"], unit["type"]) for unit in units] == [
        ("twins", 9, 1, "RGU"),
        ("twins", 9, 2, "RGU"),
    ]
    assert all(unit["score"] not in (None, NULL) and unit["score"] >= 0.5 for unit in units)
    (system,) = results["SYSTEMS"].getFeatures()
    assert (system["type"], system["units"], system["system_type"]) == ("RGS", 2, "multi-unit")
    line = QgsVectorLayer(str(cuts), "", "ogr")
    assert line.featureCount() == 1 + results["CUTS_PROPOSED"]
    assert any(feature["made"] == 1 and abs(feature.geometry().centroid().asPoint().x() - 600550) < 60 for feature in line.getFeatures())
