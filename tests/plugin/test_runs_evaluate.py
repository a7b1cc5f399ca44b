"""``processing.run`` of Evaluate network: what reaches the engine, what is refused, and the real engine where it is installed."""

from __future__ import annotations

import csv
import json

import numpy as np
import processing
import pytest
from qgis.core import QgsProcessingException

from tests.plugin.samples import Listener, write_chip

NAME = "rockglacier:evaluatenetwork"
FOLDERS = {"IMAGES": "images", "MASKS": "masks", "NEGATIVE_IMAGES": "without"}


@pytest.fixture
def chips(tmp_path):
    """Parameters: three chips with rock glaciers, two without."""
    random = np.random.default_rng(1)
    for folder, count in (("images", 3), ("masks", 3), ("without", 2)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            mask = np.zeros((1, 32, 32), np.uint8)
            mask[0, 4:20, 4:20] = 1
            pixels = mask if folder == "masks" else random.integers(30, 200, (3, 32, 32), dtype=np.uint8)
            write_chip(tmp_path / folder / f"{number}.png", pixels)
    return {name: str(tmp_path / folder) for name, folder in FOLDERS.items()}


def test_what_reaches_the_engine(plugin, false_engine, tmp_path):
    false_engine("error")
    with pytest.raises(QgsProcessingException):
        processing.run(
            NAME, {"SAMPLES": str(tmp_path), "SPLIT": "all", "THRESHOLD": 0.4, "JSON": str(tmp_path / "e.json")}, feedback=Listener()
        )
    job = json.loads((tmp_path / "job.json").read_text())
    assert (job["command"], job["samples"], job["split"], job["threshold"]) == ("evaluate", str(tmp_path), "all", 0.4)
    assert (job["images"], job["masks"], job["negatives"], job["low_snow"]) == (None, None, None, 0.1)
    assert (job["model"], job["device"], job["batch_size"]) == ("", "auto", 0)
    assert (job["json"], job["table"], job["worst"], job["best"]) == (str(tmp_path / "e.json"), None, None, None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "Give SAMPLES"),
        (("IMAGES",), "IMAGES and MASKS"),
        (("NEGATIVE_IMAGES",), "IMAGES and MASKS"),
        (("SAMPLES", "IMAGES", "MASKS"), "not both"),
        (("SAMPLES", "MODEL"), "There is no model"),
        (("SAMPLES", "THRESHOLD"), "lies between 0 and 1"),
    ],
)
def test_what_does_not_go_together_is_refused(plugin, tmp_path, given, words):
    values = {"MODEL": "none such", "THRESHOLD": 1.0}
    with pytest.raises(QgsProcessingException, match=words):
        processing.run(NAME, {name: values.get(name, str(tmp_path)) for name in given}, feedback=Listener())


def test_the_real_engine_evaluates_the_bundled_model(plugin, engine, chips, tmp_path):
    files = {"REPORT": "e.html", "TABLE": "e.csv", "JSON": "e.json", "WORST": "worst.png", "BEST": "best.png"}
    outputs = {name: str(tmp_path / file) for name, file in files.items()}
    results = processing.run(NAME, {**chips, **outputs, "DEVICE": "cpu"}, feedback=Listener())
    assert (results["COUNT"], results["DEVICE_USED"]) == (5, "CPU")
    numbers = json.loads((tmp_path / "e.json").read_text())
    assert results["IOU"] == numbers["pixels"]["rock_glacier"]["iou"] and results["MIOU"] == numbers["pixels"]["overall"]["miou"]
    assert results["NEGATIVES_MARKED"] == numbers["negatives"]["marked_share"] and 0 <= results["CALIBRATION_ERROR"] <= 1
    with open(tmp_path / "e.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 5
    assert {name: results[name] for name in files} == outputs
    assert all((tmp_path / file).stat().st_size > 1000 for name, file in files.items() if name != "TABLE")


def test_a_report_alone_goes_to_a_temporary_file(plugin, engine, chips):
    results = processing.run(NAME, {**chips, "DEVICE": "cpu", "REPORT": "TEMPORARY_OUTPUT"}, feedback=Listener())
    with open(results["REPORT"], encoding="utf-8") as page:
        assert "Evaluation of dednet-compact" in page.read()
    assert "JSON" not in results


def test_the_engines_words_reach_the_person(plugin, engine, chips, tmp_path):
    (tmp_path / "masks" / "1.png").unlink()
    with pytest.raises(QgsProcessingException, match="no mask of the same name"):
        processing.run(NAME, {**chips, "DEVICE": "cpu"}, feedback=Listener())
