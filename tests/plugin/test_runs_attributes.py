"""``processing.run`` of Add attributes: what reaches the engine, what it refuses, and the real engine where it is installed."""

from __future__ import annotations

import json

import numpy as np
import processing
import pytest
from qgis.core import QgsProcessingContext, QgsProcessingException, QgsProject, QgsRasterLayer

from tests.plugin.samples import Listener, polygon_layer, rows_of, save, square, write_raster


@pytest.fixture
def run(plugin, qgis_new_project):
    """Run Add attributes; results."""

    def run_algorithm(**parameters):
        return processing.run("rockglacier:addattributes", parameters, feedback=Listener())

    return run_algorithm


@pytest.fixture
def outlines(tmp_path):
    """A square of 200 m in the middle of what :func:`dem` covers, and one beyond it."""
    return polygon_layer("field=operator:string", [(square(600250, 3099550, 200), ["first"]), (square(690000, 3100000, 200), ["second"])])


@pytest.fixture
def dem(tmp_path):
    """70 x 70 cells of 10 m that fall 0.2 m a metre to the east."""
    return write_raster(tmp_path / "dem.tif", np.tile(5000 - 2 * np.arange(70, dtype=np.float32), (1, 70, 1)))


@pytest.fixture
def maat(tmp_path):
    """-3 degrees everywhere, in a file whose name is no field's name."""
    return write_raster(tmp_path / "MAAT 1 km.tif", np.full((1, 70, 70), -3, np.float32))


def test_what_reaches_the_engine(run, false_engine, outlines, dem, maat, tmp_path):
    false_engine("error")
    second = QgsRasterLayer(f"{dem}|option:NUM_THREADS=2", "2nd: élévation")
    QgsProject.instance().addMapLayer(second)
    with pytest.raises(QgsProcessingException):
        run(
            INPUT=str(save(outlines, tmp_path / "outlines.gpkg")),
            DEM=str(dem),
            DEM_SOURCE="made up",
            RASTERS=[str(maat), second.id()],
            RASTER_SOURCES=["MAAT 1 km", "ERA5-Land", "1991-2020"],
            SOLAR_MONTHS="6-9",
            OUTPUT="TEMPORARY_OUTPUT",
        )
    job = json.loads((tmp_path / "job.json").read_text())
    assert (job["command"], job["dem"], job["dem_source"], job["solar_months"]) == ("attributes", str(dem), "made up", "6-9")
    assert job["rasters"] == [f"maat_1_km={maat}|ERA5-Land|1991-2020", f"raster_2nd_élévation={dem}||"]


def test_defaults_that_reach_the_engine(run, false_engine, outlines, tmp_path):
    false_engine("error")
    with pytest.raises(QgsProcessingException):
        run(INPUT=outlines, OUTPUT="TEMPORARY_OUTPUT")
    job = json.loads((tmp_path / "job.json").read_text())
    assert (job["dem"], job["dem_source"], job["rasters"], job["solar_months"]) == (None, "", [], "1-12")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, []),
        ({"SOLAR_MONTHS": ""}, []),
        ({"SOLAR_MONTHS": "11-2"}, []),
        ({"SOLAR_MONTHS": "summer"}, ["SOLAR_MONTHS", "summer"]),
        ({"SOLAR_MONTHS": "0-13"}, ["SOLAR_MONTHS"]),
        ({"DEM": "/no/such/dem.tif"}, ["DEM"]),
        ({"RASTER_SOURCES": ["maat", "ERA5", ""]}, ["maat", "none"]),
    ],
)
def test_values_that_are_refused(algorithm, outlines, parameters, words, tmp_path):
    source = str(save(outlines, tmp_path / "outlines.gpkg"))
    fine, message = algorithm("addattributes").checkParameterValues(
        {"INPUT": source, "OUTPUT": "TEMPORARY_OUTPUT", **parameters}, QgsProcessingContext()
    )
    assert fine == (not words)
    for word in words:
        assert word in message


def test_with_the_engine(run, engine, outlines, dem, maat, tmp_path):
    results = run(
        INPUT=outlines,
        DEM=str(dem),
        RASTERS=[str(maat)],
        RASTER_SOURCES=["maat_1_km", "ERA5-Land", "1991-2020"],
        SOLAR_MONTHS="6-6",
        OUTPUT=str(tmp_path / "inventory.gpkg"),
    )
    assert (results["COUNT"], results["WITH_TERRAIN"]) == (2, 1)
    first, second = rows_of(results["OUTPUT"])
    assert (first["operator"], second["operator"]) == ("first", "second")
    assert first["area_km2"] == pytest.approx(0.04, rel=2e-3)
    assert first["slope_mean"] == pytest.approx(np.degrees(np.arctan(0.2)), abs=0.01) and first["aspect_sector"] == "E"
    assert first["length_m"] == pytest.approx(200, rel=0.05) and 150 < first["solar_kwh_m2"] < 350
    assert (first["maat_1_km_source"], first["maat_1_km_period"]) == ("ERA5-Land", "1991-2020") and first["maat_1_km"] == pytest.approx(-3)
    assert first["dem_source"] == "dem.tif" and first["primary_id"].startswith("RGU")
    assert not second["slope_mean"] and not second["dem_source"] and not second["maat_1_km"]


def test_without_a_model_in_memory(run, engine, outlines):
    results = run(INPUT=outlines, OUTPUT="TEMPORARY_OUTPUT")
    assert (results["COUNT"], results["WITH_TERRAIN"]) == (2, 0)
    fields = results["OUTPUT"].fields().names()
    assert "primary_id" in fields and "area_km2" in fields and "slope_mean" not in fields
