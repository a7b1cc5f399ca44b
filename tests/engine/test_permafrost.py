"""Permafrost by the usual maps: what each of them calls permafrost, whose it is, and the traps of conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

from engine.errors import EngineError
from engine.permafrost import PRESETS, open_permafrost_map
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, write_polygons
from jobs import PERMAFROST_PRESETS

UTM = CRS.from_epsg(32647)
LEFT, TOP = 500_000.0, 4_003_000.0


def write_row(path: Path, values: list[Any]) -> Path:
    """A raster of one row of cells of 1 km."""
    cells = np.array([values], dtype=np.float32 if any(isinstance(value, float) for value in values) else np.int16)
    shape = {"height": 1, "width": len(values), "count": 1, "dtype": cells.dtype}
    transform = Affine(1000, 0, LEFT, 0, -1000, TOP)
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32647", transform=transform, **shape) as dataset:
        dataset.write(cells, 1)
    return path


def on_cell(column: int) -> shapely.Geometry:
    """An outline within a cell of that row."""
    left = LEFT + 1000 * column
    return shapely.box(left + 300, TOP - 700, left + 600, TOP - 400)


def shares(path: Path, columns: list[int], reporter: SilentReporter | None = None, buffer: float = 0.0, **where: Any) -> Any:
    outlines = np.array([on_cell(column) for column in columns], dtype=object)
    with open_permafrost_map(str(path), **where) as permafrost_map:
        return permafrost_map.fraction(outlines, UTM, buffer, reporter or SilentReporter())


def test_every_preset_of_the_contract_is_there() -> None:
    assert {"custom", *PRESETS} == set(PERMAFROST_PRESETS)


@pytest.mark.parametrize(
    ("preset", "values", "expected"),
    [
        ("zou_zhao", [0, 1, 2], [0, 1, 0]),
        ("ncdc", [1, 2, 3], [1, 0, 0]),
        ("obu_probability", [0.0, 0.1, 0.49, 0.5, 1.0], [0, 0, 0, 1, 1]),
        ("cci_fraction", [0, 10, 49, 50, 100], [0, 0, 0, 1, 1]),
        ("gruber_pzi", [-9999.0, 0.0, 0.01, 0.09, 0.1, 1.0], [np.nan, 0, 0, 0, 1, 1]),
        ("cao_pzi", [0.0, 0.01, 0.1, 0.8], [0, 0, 1, 1]),
    ],
)
def test_what_a_preset_calls_permafrost(tmp_path: Path, preset: str, values: list[Any], expected: list[float]) -> None:
    path = write_row(tmp_path / "map.tif", values)
    reporter = SilentReporter()
    found = shares(path, list(range(len(values))), reporter, preset=preset, classes="never looked at")
    assert found == pytest.approx(expected, nan_ok=True)
    assert reporter.warnings == []


ZONES = ["Cont", "Discontinuous", "Spora", "Isol", "No"]


def write_zones(path: Path, **fields: list[Any]) -> Path:
    """Polygons of 1 km in a row."""
    count = len(next(iter(fields.values())))
    cells = shapely.box(LEFT + 1000 * np.arange(count), TOP - 1000, LEFT + 1000 * np.arange(1, count + 1), TOP)
    columns = {name: np.array(values, dtype=object if isinstance(values[0], str) else None) for name, values in fields.items()}
    write_polygons(path, PolygonLayer(np.array(cells, dtype=object), UTM, columns), "zones")
    return path


@pytest.mark.parametrize("where", [{}, {"attribute": "zone"}], ids=["the field of the product", "a field that was named"])
def test_zones_of_a_polygon_map(tmp_path: Path, where: dict[str, str]) -> None:
    path = write_zones(tmp_path / "zones.gpkg", **{where.get("attribute", "EXTENT"): ZONES})
    assert shares(path, [0, 1, 2, 3, 4], preset="obu_zones", **where) == pytest.approx([1, 1, 0, 0, 0])


def test_zones_with_other_names_are_mentioned(tmp_path: Path) -> None:
    path = write_zones(tmp_path / "zones.gpkg", EXTENT=["C", "D"])
    reporter = SilentReporter()
    assert shares(path, [0, 1], reporter, preset="obu_zones") == pytest.approx([0, 0])
    assert [code for code, _ in reporter.warnings] == ["permafrost_names"]
    assert "c, d" in reporter.warnings[0][1]


def test_a_polygon_map_needs_the_field_that_a_preset_judges_by(tmp_path: Path) -> None:
    path = write_zones(tmp_path / "zones.gpkg", code=[0, 1, 2])
    assert shares(path, [0, 1, 2], preset="zou_zhao", attribute="code") == pytest.approx([0, 1, 0])
    with pytest.raises(EngineError, match="custom") as caught:
        shares(path, [0], preset="zou_zhao")
    assert caught.value.code == "map_field"


@pytest.mark.parametrize(
    ("preset", "values", "said"),
    [
        ("obu_probability", [10, 90], "0 to 1"),
        ("zou_zhao", [1, 9], "0 to 2"),
        ("ncdc", [0, 1], "1 to 3"),
        ("gruber_pzi", [-5.0, 0.5], "0 to 1"),
    ],
)
def test_a_map_that_is_not_the_presets_is_mentioned(tmp_path: Path, preset: str, values: list[Any], said: str) -> None:
    reporter = SilentReporter()
    shares(write_row(tmp_path / "map.tif", values), [0, 1], reporter, preset=preset)
    assert [code for code, _ in reporter.warnings] == ["permafrost_preset"]
    assert said in reporter.warnings[0][1]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({}, "map.tif"),
        ({"preset": "zou_zhao"}, "Zou et al. 2017, doi:10.5194/tc-11-2527-2017 (map.tif)"),
        ({"preset": "zou_zhao", "source": "my own survey"}, "my own survey"),
    ],
    ids=["file", "preset", "what the person says"],
)
def test_source(tmp_path: Path, where: dict[str, str], said: str) -> None:
    with open_permafrost_map(str(write_row(tmp_path / "map.tif", [0, 1])), **where) as permafrost_map:
        assert permafrost_map.source == said


def test_a_buffer_reaches_the_next_cells(tmp_path: Path) -> None:
    path = write_row(tmp_path / "map.tif", [1, 0, 0, 0])
    reach = shapely.buffer(on_cell(1), 1000)
    cells = shapely.box(LEFT, TOP - 1000, LEFT + np.array([1000, 4000]), TOP)
    frozen, known = shapely.area(shapely.intersection(reach, cells))
    assert shares(path, [1, 3], buffer=1.0) == pytest.approx([frozen / known, 0.0], abs=1e-3)


@pytest.mark.parametrize(
    ("values", "classes", "code"),
    [
        ([0, 1, 2], ">0", "permafrost_condition"),
        ([0, 1, 2], ">=1", "permafrost_condition"),
        ([1, 2, 3], "!=3", "permafrost_condition"),
        ([0, 1, 2], "1", None),
        ([0, 1, 2], "==1", None),
        ([0, 1, 2], "1,2", None),
        ([0, 1, 1], ">0", None),
        ([0.0, 0.01, 0.8], ">0", "permafrost_fringe"),
        ([0.0, 0.01, 0.8], ">=0.1", None),
        ([0.0, 0.1, 0.8], ">=0.1", None),
        ([-3.5, 0.05, 2.0], "<0.5", None),
        ([5, 40, 90], ">0", None),
    ],
)
def test_warns_of_conditions_that_admit_more_than_permafrost(tmp_path: Path, values: list[Any], classes: str, code: str | None) -> None:
    path = write_row(tmp_path / "map.tif", values)
    reporter = SilentReporter()
    shares(path, [0, 1, 2], reporter, classes=classes)
    assert [warning for warning, _ in reporter.warnings] == ([code] if code else [])
