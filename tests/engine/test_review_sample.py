"""The sample session that ships: of the right form, with several relations, and at home wherever its folder is copied."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import rasterio

import review_session as form
from engine.rasters import PASSPORT
from engine.review_file import Session
from engine.vectors import read_polygons
from tests.engine.reviews import read, rows_of

SAMPLE = Path(__file__).resolve().parents[2] / "resources" / "sample"
REVIEW = SAMPLE / "review" / "review.gpkg"
MADE_FOR_IT = (REVIEW, SAMPLE / "sample_probability.tif", SAMPLE / "sample_predicted.gpkg")


@pytest.fixture(scope="module")
def session() -> Session:
    return read(str(REVIEW))


def test_every_outline_waits_for_a_decision(session):
    rows = rows_of(session)
    assert {row["status"] for row in rows.values()} == {"unreviewed"} and not session.journal
    assert {row["relation"] for row in rows.values()} >= {"1-1", "n-1", "false"} and len(rows) >= 10
    assert all(row["probability"] is not None and 0 <= row["priority"] <= 1 for row in rows.values())
    assert set(session.layers[form.RESTRICTED].fields["uid"]) < set(rows)


def test_its_layers_are_the_files_beside_it(session):
    for layer, file in ((form.PREDICTED, "sample_predicted.gpkg"), (form.REFERENCE, "sample_outlines.gpkg")):
        assert len(session.layers[layer]) == len(read_polygons(SAMPLE / file)) and session.crs == read_polygons(SAMPLE / file).crs
    assert len(session.layers[form.TILES]) >= 12 and set(session.layers[form.TILES].fields["visited_at"]) == {None}


def test_a_copy_finds_its_files(session, tmp_path):
    copy = tmp_path / "somewhere else" / "review"
    for name in form.PATHS:
        target = Path(form.found_path(session.settings[name], str(copy / "review.gpkg")) or ".")
        assert not target.is_file()
    shutil.copytree(SAMPLE, copy.parent)
    for name in form.PATHS:
        found = Path(form.found_path(session.settings[name], str(copy / "review.gpkg")))
        assert found.is_file() and found.parent == copy.parent
    assert not any(name.endswith("_state") for name in session.settings)  # a copy has other times


def test_no_machine_is_in_it():
    for path in MADE_FOR_IT:
        assert not re.search(rb"[/\\](home|tmp|work|root|Users)[/\\]", path.read_bytes())
    assert sum(path.stat().st_size for path in MADE_FOR_IT) < 600_000


def test_the_probability_raster_has_its_passport():
    with rasterio.open(SAMPLE / "sample_probability.tif") as raster, rasterio.open(SAMPLE / "sample_scene.tif") as scene:
        assert (raster.shape, raster.transform, raster.crs) == (scene.shape, scene.transform, scene.crs)
        assert 0 < float(raster.tags(ns=PASSPORT)["THRESHOLD"]) < 1 and raster.tags(ns=PASSPORT)["MODEL"] == "dednet-compact"
        assert 0 <= raster.read(1).min() < 0.1 and 0.9 < raster.read(1).max() <= 1
