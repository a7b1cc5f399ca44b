"""Fall lines as a layer: on one slope, in metres and in degrees, with outlines that have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

from engine.errors import Cancelled, EngineError
from engine.fall_lines import fall_lines
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, reproject, write_polygons
from jobs import FallLinesJob

UTM, DEGREES = CRS.from_epsg(32645), CRS.from_epsg(4326)
ON_SLOPE, ELSEWHERE = shapely.box(500_400, 3_099_200, 500_600, 3_099_800), shapely.box(590_000, 3_099_200, 590_600, 3_099_500)


@pytest.fixture
def dem(tmp_path: Path) -> Path:
    """1 km x 1 km that falls to the south by 0.3, cells of 10 m, on the central meridian's map."""
    rows = np.arange(100)
    elevation = np.repeat((5000 - 3.0 * rows)[:, None], 100, axis=1).astype(np.float32)
    path = tmp_path / "dem.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=100, count=1, dtype="float32", crs=32645, transform=Affine(10, 0, 5e5, 0, -10, 3.1e6)
    ) as dataset:
        dataset.write(elevation, 1)
    return path


def outlines(path: Path, polygons: list[shapely.Polygon], crs: CRS = UTM) -> str:
    geometries = reproject(np.array(polygons, dtype=object), UTM, crs)
    fields = {"name": np.array([f"outline {number}" for number in range(len(polygons))]), "LENGTH_M": np.full(len(polygons), -1.0)}
    write_polygons(path, PolygonLayer(geometries, crs, fields), "outlines")
    return str(path)


def lines_of(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    meta, _, wkb, values = pyogrio.raw.read(path)
    assert meta["geometry_type"] == "LineString"
    return shapely.from_wkb(wkb), dict(zip(meta["fields"], values, strict=True))


@pytest.mark.parametrize("crs", [UTM, DEGREES], ids=["metres", "degrees"])
def test_from_the_roots_to_the_front(dem: Path, tmp_path: Path, crs: CRS) -> None:
    job = FallLinesJob(outlines(tmp_path / "in.gpkg", [ON_SLOPE], crs), str(dem), str(tmp_path / "out.gpkg"))
    assert fall_lines(job, SilentReporter()) == {"output": job.output, "count": 1, "without": 0}
    lines, fields = lines_of(tmp_path / "out.gpkg")
    (line,) = reproject(lines, crs, UTM)
    assert np.allclose(line.coords[0], (500_500, 3_099_800), atol=30) and np.allclose(line.coords[-1], (500_500, 3_099_200), atol=30)
    assert list(fields) == ["name", "length_m"]
    # 0.9996 is the scale of the map on its central meridian
    assert fields["length_m"][0] == pytest.approx(line.length / 0.9996, rel=1e-4)


def test_outlines_without_a_line_are_told_and_left_out(dem: Path, tmp_path: Path) -> None:
    job = FallLinesJob(outlines(tmp_path / "in.gpkg", [ELSEWHERE, ON_SLOPE]), str(dem), str(tmp_path / "out.gpkg"))
    reporter = SilentReporter()
    assert (result := fall_lines(job, reporter))["count"] == 1 and result["without"] == 1
    assert [code for code, _ in reporter.warnings] == ["no_fall_line"] and "1 of 2" in reporter.warnings[0][1]
    assert lines_of(tmp_path / "out.gpkg")[1]["name"].tolist() == ["outline 1"]


def test_an_elevation_model_of_another_place(dem: Path, tmp_path: Path) -> None:
    job = FallLinesJob(outlines(tmp_path / "in.gpkg", [ELSEWHERE]), str(dem), str(tmp_path / "out.gpkg"))
    with pytest.raises(EngineError, match="Does it cover") as raised:
        fall_lines(job, SilentReporter())
    assert raised.value.code == "no_fall_line" and not Path(job.output).exists()


def test_no_outlines_no_lines(dem: Path, tmp_path: Path) -> None:
    job = FallLinesJob(outlines(tmp_path / "in.gpkg", []), str(dem), str(tmp_path / "out.gpkg"))
    assert fall_lines(job, SilentReporter())["count"] == 0
    assert len(lines_of(tmp_path / "out.gpkg")[0]) == 0


def test_cancelled_nothing_is_written(dem: Path, tmp_path: Path) -> None:
    job = FallLinesJob(outlines(tmp_path / "in.gpkg", [ON_SLOPE]), str(dem), str(tmp_path / "out.gpkg"))
    with pytest.raises(Cancelled):
        fall_lines(job, SilentReporter(cancel_after=1))
    assert not Path(job.output).exists()
