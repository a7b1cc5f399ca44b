"""``processing.run`` of Fall lines: what reaches the engine, and the real engine where it is installed."""

from __future__ import annotations

import json

import numpy as np
import processing
import pytest
from qgis.core import QgsProcessingException

from tests.plugin.samples import Listener, polygon_layer, save, square, write_raster

NAME = "rockglacier:falllines"


@pytest.fixture
def dem(tmp_path):
    """1 km that falls to the south."""
    return write_raster(tmp_path / "dem.tif", np.repeat(np.linspace(4600, 4300, 100, dtype=np.float32)[:, None], 100, axis=1)[None])


@pytest.fixture
def outlines():
    """One on the elevation model, one far off it."""
    return polygon_layer("field=name:string", [(square(600300, 3099300, 400), ["here"]), (square(700000, 3099300, 400), ["there"])])


def test_what_reaches_the_engine(plugin, false_engine, outlines, dem, tmp_path):
    path = save(outlines, tmp_path / "outlines.gpkg")
    false_engine("error")
    with pytest.raises(QgsProcessingException):
        processing.run(NAME, {"INPUT": str(path), "DEM": str(dem), "OUTPUT": "TEMPORARY_OUTPUT"}, feedback=Listener())
    job = json.loads((tmp_path / "job.json").read_text())
    assert (job["command"], job["input"], job["dem"]) == ("fall_lines", str(path), str(dem))


def test_without_an_elevation_model_it_does_not_start(plugin, outlines):
    with pytest.raises(QgsProcessingException, match="DEM"):
        processing.run(NAME, {"INPUT": outlines, "OUTPUT": "TEMPORARY_OUTPUT"}, feedback=Listener())


def test_the_real_engine_draws_them(plugin, engine, outlines, dem):
    listener = Listener()
    results = processing.run(NAME, {"INPUT": outlines, "DEM": str(dem), "OUTPUT": "TEMPORARY_OUTPUT"}, feedback=listener)
    assert (results["COUNT"], results["WITHOUT"]) == (1, 1)
    assert any("1 of 2" in warning for warning in listener.warnings)
    (line,) = results["OUTPUT"].getFeatures()
    assert line["name"] == "here" and abs(line["length_m"] - 400) < 5
    vertices = line.geometry().asPolyline()
    assert vertices[0].y() > 3099690 and vertices[-1].y() < 3099310
