"""``processing.run`` of Prepare training samples: what reaches the engine, what is refused, and the real engine where it is installed."""

from __future__ import annotations

import csv
import json

import numpy as np
import processing
import pytest
from qgis.core import QgsProcessingException, QgsProject, QgsRasterLayer, QgsVectorLayer

from tests.plugin.samples import Listener, polygon_layer, save, square, write_chip, write_raster

NAME = "rockglacier:preparetrainingsamples"
BANDS = ("red", "green", "blue", "nir")


@pytest.fixture
def stack(tmp_path):
    """100 x 120 pixels of 10 m."""
    pixels = np.random.default_rng(1).uniform(0.05, 0.4, (4, 100, 120)).astype(np.float32)
    return write_raster(tmp_path / "stack.tif", pixels, BANDS)


@pytest.fixture
def reviewed(tmp_path):
    """Twelve squares of 70 m, one of them rejected, one not yet reviewed."""
    rows = [
        (square(600080 + 310 * i, 3099100 + 290 * j, 70), [f"u{i}{j}", {(0, 0): "rejected", (1, 1): "unreviewed"}.get((i, j), "accepted")])
        for i in range(4)
        for j in range(3)
    ]
    return save(polygon_layer("field=uid:string&field=status:string", rows), tmp_path / "outlines.gpkg")


def test_what_reaches_the_engine(plugin, false_engine, stack, reviewed, tmp_path):
    false_engine("error")
    parameters = {"STACKS": [str(stack)], "OUTLINES": str(reviewed), "RECIPE": "paper", "SIZE": 40, "VALIDATION_SHARE": 0.3}
    with pytest.raises(QgsProcessingException):
        processing.run(NAME, {**parameters, "OUTPUT": str(tmp_path / "samples")}, feedback=Listener())
    job = json.loads((tmp_path / "job.json").read_text())
    assert (job["command"], job["stacks"], job["outlines"]) == ("samples", [str(stack)], str(reviewed))
    assert (job["recipe"], job["size"], job["validation_share"], job["background"], job["seed"]) == ("paper", 40, 0.3, None, 1)
    assert (job["resolution"], job["images"], job["negatives"], job["contact_sheet"]) == (None, None, None, None)
    assert job["output"] == str(tmp_path / "samples")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "Give STACKS and OUTLINES"),
        (("STACKS",), "Give STACKS and OUTLINES"),
        (("STACKS", "OUTLINES", "IMAGES"), "not both"),
        (("IMAGES",), "IMAGES and MASKS"),
        (("IMAGES", "MASKS", "SIZE"), "SIZE has no meaning for chips"),
    ],
)
def test_what_does_not_go_together_is_refused(plugin, stack, reviewed, tmp_path, given, words):
    values = {"STACKS": [str(stack)], "OUTLINES": str(reviewed), "IMAGES": str(tmp_path), "MASKS": str(tmp_path), "SIZE": 32}
    with pytest.raises(QgsProcessingException, match=words):
        processing.run(NAME, {**{name: values[name] for name in given}, "OUTPUT": "TEMPORARY_OUTPUT"}, feedback=Listener())


def test_the_real_engine_cuts_samples(plugin, engine, stack, reviewed, tmp_path, qgis_new_project):
    layer = QgsRasterLayer(str(stack), "stack")
    QgsProject.instance().addMapLayer(layer)
    listener = Listener()
    parameters = {"STACKS": [layer], "OUTLINES": str(reviewed), "SIZE": 20, "OUTPUT": "TEMPORARY_OUTPUT", "FOOTPRINTS": "TEMPORARY_OUTPUT"}
    results = processing.run(NAME, {**parameters, "CONTACT_SHEET": str(tmp_path / "sheet.png")}, feedback=listener)
    assert results["COUNT"] == results["TRAIN"] + results["VALIDATION"] == results["POSITIVE"] + results["NEGATIVE"]
    assert results["VALIDATION"] > 0 and results["NEGATIVE"] > 0
    with open(f"{results['OUTPUT']}/samples.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == results["COUNT"] == results["FOOTPRINTS"].featureCount()
    assert {"accepted", "rejected"} <= {row["status"] for row in rows}
    assert QgsRasterLayer(f"{results['OUTPUT']}/{rows[0]['image']}").bandCount() == 6
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    assert QgsVectorLayer(f"{results['OUTPUT']}/samples.gpkg").featureCount() == len(rows)


def test_chips_have_no_footprints(plugin, engine, tmp_path):
    for folder in ("images", "masks", "without"):
        (tmp_path / folder).mkdir()
    for number in range(6):
        write_chip(tmp_path / "images" / f"{number}.png", np.full((3, 16, 16), 20 + number, np.uint8))
        write_chip(tmp_path / "masks" / f"{number}.png", np.eye(16, dtype=np.uint8)[None])
        write_chip(tmp_path / "without" / f"{number}.png", np.full((3, 16, 16), 90, np.uint8))
    folders = {"IMAGES": "images", "MASKS": "masks", "NEGATIVE_IMAGES": "without"}
    parameters = {name: str(tmp_path / folder) for name, folder in folders.items()}
    results = processing.run(NAME, {**parameters, "OUTPUT": str(tmp_path / "s"), "FOOTPRINTS": "TEMPORARY_OUTPUT"}, feedback=Listener())
    assert (results["COUNT"], results["POSITIVE"], results["VALIDATION"]) == (12, 6, 2)
    assert "FOOTPRINTS" not in results
