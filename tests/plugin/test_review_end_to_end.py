"""A review in a real QGIS window: by keyboard and mouse, through closing and reopening, and through a killed QGIS.

The pictures are kept where ``--basetemp`` says, in ``review0/pictures``; ``review_in_window.py`` makes them anywhere else.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin import review_in_window
from tests.plugin.review_in_window import checksums, lacking, run

PICTURES = ("start", "opened", "reasons", "judged", "editing", "edited", "split", "parts", "views", "reopened", "finish", "finished")

pytestmark = pytest.mark.skipif(bool(lacking()), reason=f"this needs {lacking()}")


@pytest.fixture(autouse=True)
def sample():
    """The sample as it ships, which no review may change."""
    if not (review_in_window.SAMPLE / "review" / "review.gpkg").is_file():
        pytest.skip("resources/sample has no review session")
    before = checksums()
    yield
    assert checksums() == before


@pytest.fixture
def engine_python(module, engine):
    return str(module("processing_provider.engine_home").engine_python())


def test_ten_outlines_an_edit_and_a_split(engine_python, tmp_path_factory):
    folder = tmp_path_factory.mktemp("review")
    done, report = run("review", folder / "pictures", folder / "profile", engine_python)
    assert done, report
    assert "11 outlines judged" in report
    assert {path.stem for path in Path(folder, "pictures").glob("*.png")} == set(PICTURES)


def test_killed_in_the_middle_of_an_edit_no_decision_is_lost(tmp_path):
    done, report = run("killed", tmp_path / "pictures", tmp_path / "profile")
    assert not done and (tmp_path / "pictures" / "decided.txt").is_file(), report
    done, report = run("after", tmp_path / "pictures", tmp_path / "profile", restored=True)
    assert done, report


def test_closing_qgis_asks_nothing_and_keeps_everything(tmp_path):
    done, report = run("quit", tmp_path / "pictures", tmp_path / "profile")
    assert done, report
    done, report = run("after", tmp_path / "pictures", tmp_path / "profile")
    assert done, report
