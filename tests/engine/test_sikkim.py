"""The whole chain on a real Sentinel-2 scene of Sikkim, with the model that ships."""

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely

from engine.cli import run_job
from engine.geodesy import geodesic_area
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, read_polygons
from jobs import STACK_BANDS, DetectJob, PostprocessJob, PrepareJob


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict]]:
    """Folder of the outputs of the three commands, and what they answered."""
    scene = Path(__file__).resolve().parents[3] / "shared" / "data" / "sikkim" / "sikkim_s2_rgbn_10m.tif"
    if not scene.exists():
        pytest.skip(f"the real scene of Sikkim is not at {scene}")
    folder = tmp_path_factory.mktemp("sikkim")
    stack, polygons, outlines = (str(folder / name) for name in ("stack.tif", "tile_polygons.gpkg", "outlines.gpkg"))
    jobs = (
        PrepareJob(str(scene), stack),
        DetectJob(stack, polygons, probability=str(folder / "probability.tif"), device="cpu"),
        PostprocessJob(polygons, outlines, permafrost=None),
    )
    return folder, {job.command: run_job(job, SilentReporter()) for job in jobs}


def test_stack_is_on_the_scene_s_grid_and_holds_reflectance(chain, data: Path) -> None:
    folder, answers = chain
    with rasterio.open(data / "sikkim" / "sikkim_s2_rgbn_10m.tif") as scene, rasterio.open(folder / "stack.tif") as stack:
        assert (stack.crs, stack.transform, stack.shape) == (scene.crs, scene.transform, scene.shape)
        assert stack.descriptions == STACK_BANDS
        pixels, raw = stack.read(), scene.read()
    observed = np.isfinite(pixels[0])
    assert observed.mean() == pytest.approx(answers["prepare"]["observed_fraction"])
    expected = raw[3].astype(np.float32) * answers["prepare"]["scale"] + answers["prepare"]["offset"]
    np.testing.assert_allclose(pixels[3][observed], np.clip(expected[observed], 0, 1.5), atol=1e-6)


def test_probability_is_on_the_scene_s_grid(chain, data: Path) -> None:
    folder, _ = chain
    with rasterio.open(data / "sikkim" / "sikkim_s2_rgbn_10m.tif") as scene, rasterio.open(folder / "probability.tif") as raster:
        assert (raster.crs, raster.transform, raster.shape) == (scene.crs, scene.transform, scene.shape)
        probability = raster.read(1)
    assert np.isfinite(probability).all()
    assert probability.min() >= 0
    assert probability.max() <= 1


def test_outlines_are_valid_lie_in_the_scene_and_agree_with_their_attributes(chain, data: Path) -> None:
    folder, answers = chain
    outlines = read_polygons(folder / "outlines.gpkg")
    assert len(outlines) == answers["postprocess"]["count"]
    assert outlines.repaired == 0
    with rasterio.open(data / "sikkim" / "sikkim_s2_rgbn_10m.tif") as scene:
        assert shapely.within(outlines.geometries, shapely.box(*scene.bounds).buffer(2.0)).all()  # smoothing moved them a little
    areas = geodesic_area(outlines.geometries, outlines.crs)
    np.testing.assert_allclose(outlines.fields["area_km2"], areas / 1e6, rtol=1e-6)
    assert (areas >= 22000).all()
    assert (outlines.fields["probability_max"] >= outlines.fields["probability_mean"]).all()
    assert (outlines.fields["votes"] <= outlines.fields["coverage"] + 1e-9).all()


def test_tile_polygons_cover_the_outlines(chain) -> None:
    folder, answers = chain
    polygons, outlines = read_polygons(folder / "tile_polygons.gpkg"), read_polygons(folder / "outlines.gpkg")
    assert len(polygons) == answers["detect"]["count"]
    outside = shapely.difference(shapely.unary_union(outlines.geometries), shapely.unary_union(polygons.geometries).buffer(1e-6))
    holes_filled = shapely.area(outside)
    assert holes_filled <= 0.5 * shapely.area(outlines.geometries).sum() + 1e-6
    assert set(pyogrio.read_info(folder / "tile_polygons.gpkg")["fields"]) == {
        "tile", "probability_mean", "probability_max", "area_m2", "coverage",
    }  # fmt: skip


def test_overlap_with_the_manual_outlines_is_told(chain, data: Path, capsys: pytest.CaptureFixture) -> None:
    folder, _ = chain
    manual = read_polygons(data / "sikkim" / "rock_glaciers_manual.geojson")
    outlines = read_polygons(folder / "outlines.gpkg").in_crs(manual.crs)
    assert len(manual) == 3
    overlaps = overlap_shares(manual, outlines)
    with capsys.disabled():
        shares = ", ".join(f"{100 * share:.0f} %" for share in overlaps)
        print(f"\nSikkim: {len(outlines)} outlines; covered of the three manual rock glaciers: {shares}")
    assert ((overlaps >= 0) & (overlaps <= 1 + 1e-9)).all()


def overlap_shares(manual: PolygonLayer, outlines: PolygonLayer) -> np.ndarray:
    """Share of each manual outline's area that predicted outlines cover, 0-1."""
    common = shapely.intersection(manual.geometries, shapely.unary_union(outlines.geometries))
    return geodesic_area(common, manual.crs) / geodesic_area(manual.geometries, manual.crs)
