"""The sample that ships is what its README says, and its script writes the same files every time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.features import geometry_mask

from model.simulator import simulate

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "resources" / "sample"
RASTERS = ("sample_scene.tif", "sample_dem.tif", "sample_permafrost.tif")


@pytest.fixture(scope="module")
def make_sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sample", ROOT / "scripts" / "make_sample.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outlines() -> tuple[dict[str, np.ndarray], np.ndarray]:
    meta, _, wkb, values = pyogrio.raw.read(SAMPLE / "sample_outlines.gpkg", layer="outlines")
    return dict(zip(meta["fields"], values, strict=True)), shapely.from_wkb(wkb)


def test_all_of_it_fits_in_three_megabytes() -> None:
    shipped = [path for path in SAMPLE.iterdir() if not path.name.endswith(".aux.xml")]  # QGIS's statistics, once it has shown the scene
    assert sum(path.stat().st_size for path in shipped) <= 3_000_000


@pytest.mark.parametrize("name", RASTERS)
def test_rasters_say_that_they_are_simulated(name: str) -> None:
    with rasterio.open(SAMPLE / name) as dataset:
        assert "Simulated" in dataset.tags()["TIFFTAG_IMAGEDESCRIPTION"]


def test_outlines_and_readme_say_that_they_are_simulated() -> None:
    info = pyogrio.read_info(SAMPLE / "sample_outlines.gpkg")
    assert "Simulated" in info["layer_metadata"]["DESCRIPTION"]
    assert "SIMULATED" in (SAMPLE / "README.txt").read_text(encoding="utf-8")


def test_the_scene_needs_no_guessing() -> None:
    with rasterio.open(SAMPLE / "sample_scene.tif") as scene:
        assert scene.descriptions == ("red", "green", "blue", "nir")
        assert scene.scales == (0.0001,) * 4 and scene.offsets == (0.0,) * 4
        assert (scene.tags()["SCALE"], scene.nodata, scene.dtypes[0]) == ("0.0001", 0, "uint16")
        assert scene.crs.is_projected and scene.res == (10, 10)
        assert scene.read().min() > 0
        with rasterio.open(SAMPLE / "sample_dem.tif") as dem:
            assert (dem.crs, dem.transform, dem.shape) == (scene.crs, scene.transform, scene.shape)
            assert 1000 < dem.read().min() < dem.read().max() < 6500


def test_the_permafrost_map_covers_the_scene_in_the_classes_of_the_paper() -> None:
    with rasterio.open(SAMPLE / "sample_scene.tif") as scene, rasterio.open(SAMPLE / "sample_permafrost.tif") as permafrost:
        inside = permafrost.window(*scene.bounds).round_offsets().round_lengths()
        classes = permafrost.read(1)
        assert set(np.unique(classes)) <= {0, 1, 2, 255} and {0, 1} <= set(np.unique(classes))
        assert (permafrost.read(1, window=inside) != 255).all()
        assert (classes[[0, -1]] == 255).all() and (classes[:, [0, -1]] == 255).all()


def test_at_least_eight_rock_glaciers_of_all_activities_and_forms_lie_in_the_scene() -> None:
    fields, geometries = outlines()
    assert len(geometries) >= 8 and shapely.is_valid(geometries).all()
    assert set(fields["activity"]) == {"active", "transitional", "relict"} and set(fields["form"]) == {"tongue", "lobe"}
    assert np.allclose(fields["area_m2"], shapely.area(geometries), atol=1) and fields["area_m2"].min() > 18000
    with rasterio.open(SAMPLE / "sample_scene.tif") as scene:
        assert shapely.box(*scene.bounds).contains(shapely.union_all(geometries).buffer(-1))


def test_some_relict_rock_glaciers_lie_outside_permafrost() -> None:
    fields, geometries = outlines()
    with rasterio.open(SAMPLE / "sample_permafrost.tif") as permafrost:
        classes = permafrost.read(1)
        shares = [
            np.mean(classes[geometry_mask([geometry], classes.shape, permafrost.transform, all_touched=True, invert=True)] == 1)
            for geometry in geometries
        ]
    assert min(np.array(shares)[fields["activity"] == "relict"]) < 0.5
    assert np.median(np.array(shares)[fields["activity"] == "active"]) > 0.5


def test_drawn_outlines_are_close_to_the_truth_but_not_the_truth(make_sample: ModuleType) -> None:
    for record in simulate(1, 128, 128, rock_glacier_share=0.15).rock_glaciers:
        drawn = make_sample.as_drawn(np.random.default_rng(0), record.outline)
        shared = drawn.intersection(record.outline).area / drawn.union(record.outline).area
        assert 0.8 < shared < 0.995


def test_the_same_landscape_is_written_to_the_same_bytes(make_sample: ModuleType, tmp_path: Path) -> None:
    landscape = simulate(1, 128, 144, rock_glacier_share=0.15)
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        make_sample.write_scene(folder / "scene.tif", landscape)
        make_sample.write_elevation(folder / "dem.tif", landscape)
        make_sample.write_permafrost(folder / "permafrost.tif", landscape)
        make_sample.write_outlines(folder / "outlines.gpkg", landscape)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name
