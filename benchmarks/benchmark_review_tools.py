"""How long the review's tools keep a person waiting: level slider, live comparison and snapping to edges, for an outline of 2 km2.

    QT_QPA_PLATFORM=offscreen python3 benchmarks/benchmark_review_tools.py [--runs 20]

With the Python that imports QGIS. A made-up lobed outline of 2 km2 on rasters of 4 m (probability with noise of some pixels' size, imagery
of three bands, elevation model), a neighbour beside it. Only what happens in QGIS's process is measured, without drawing.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal, osr
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
)

ROOT = Path(__file__).resolve().parents[1]
EPSG, LEFT, TOP, PIXEL, SIDE = 32645, 600_000.0, 3_100_000.0, 4.0, 1000
MIDDLE = LEFT + PIXEL * SIDE / 2, TOP - PIXEL * SIDE / 2
AREA_M2 = 2e6
NOISE, GRAIN, STEEPNESS_M = 1.0, 8, 60.0
"""Of the probability: standard deviation on the logit scale, pixels, metres from which on the network is sure."""


def plugin_module(name: str) -> Any:
    """A module of the plugin, which QGIS would have imported as a package."""
    if "rock_glacier_mapper" not in sys.modules:
        spec = importlib.util.spec_from_file_location("rock_glacier_mapper", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
        package = importlib.util.module_from_spec(spec)
        sys.modules["rock_glacier_mapper"] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"rock_glacier_mapper.dialogs.review.{name}")


def radius(turn: np.ndarray) -> np.ndarray:
    """Of the outline by direction, metres."""
    shape = 1 + 0.1 * np.sin(7 * turn) + 0.05 * np.sin(15 * turn)
    return shape * np.sqrt(AREA_M2 / np.pi)


def outline(shift: float = 0.0, share: float = 1.0) -> QgsGeometry:
    """Of 1500 vertices; moved to the east by metres, shrunk."""
    turn = np.linspace(0, 2 * np.pi, 1500, endpoint=False)
    x, y = MIDDLE[0] + shift + share * radius(turn) * np.cos(turn), MIDDLE[1] + share * radius(turn) * np.sin(turn)
    return QgsGeometry.fromPolygonXY([[QgsPointXY(*place) for place in zip(x, y, strict=True)]])


def rasters(folder: Path) -> dict[str, QgsRasterLayer]:
    """Probability, imagery and elevation model."""
    rng = np.random.default_rng(1)
    x = LEFT + PIXEL * (np.arange(SIDE) + 0.5)[None, :] - MIDDLE[0]
    y = TOP - PIXEL * (np.arange(SIDE) + 0.5)[:, None] - MIDDLE[1]
    inside = radius(np.arctan2(y, x)) - np.hypot(x, y)
    coarse = rng.normal(0, NOISE, (SIDE // GRAIN + 2,) * 2)
    grid = np.arange(SIDE) / GRAIN
    rows = np.array([np.interp(grid, np.arange(len(coarse)), line) for line in coarse])
    noise = np.array([np.interp(grid, np.arange(len(rows)), column) for column in rows.T]).T
    probability = 1 / (1 + np.exp(-(inside / STEEPNESS_M + noise)))
    grey = np.where(inside > 0, 120.0, 90.0) + rng.normal(0, 5, (3, SIDE, SIDE))
    elevation = 4500 - 0.2 * y + np.clip(inside, 0, 40) * 0.6
    layers = {}
    for name, bands in (("probability", probability[None]), ("imagery", grey), ("dem", elevation[None])):
        path = folder / f"{name}.tif"
        options = ["TILED=YES", "COMPRESS=DEFLATE"]
        dataset = gdal.GetDriverByName("GTiff").Create(str(path), SIDE, SIDE, len(bands), gdal.GDT_Float32, options)
        dataset.SetGeoTransform((LEFT, PIXEL, 0.0, TOP, 0.0, -PIXEL))
        crs = osr.SpatialReference()
        crs.ImportFromEPSG(EPSG)
        dataset.SetProjection(crs.ExportToWkt())
        for number, band in enumerate(bands, 1):
            dataset.GetRasterBand(number).WriteArray(band)
        del dataset
        layers[name] = QgsRasterLayer(str(path), name)
    QgsProject.instance().addMapLayers(layers.values())
    return layers


def timed(name: str, runs: int, do: Callable[[], Any]) -> None:
    """Print median and worst of some runs in milliseconds, and the very first."""
    took = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        do()
        took.append(1000 * (time.perf_counter() - started))
    print(f"| {name} | {statistics.median(took[1:]):.2f} | {max(took[1:]):.2f} | {took[0]:.2f} |")


def measure(folder: Path, runs: int) -> None:
    """Print the table."""
    levels, metrics, local = plugin_module("levels"), plugin_module("metrics"), plugin_module("local_map")
    edge_path, redraw = plugin_module("edge_path"), plugin_module("redraw")
    crs, context = QgsCoordinateReferenceSystem.fromEpsgId(EPSG), QgsCoordinateTransformContext()
    layers, ours, theirs = rasters(folder), outline(), outline(20, 0.97)
    neighbour = outline(1250, 0.5).difference(ours)
    print("| | median ms | worst ms | first ms |\n|---|---|---|---|")

    def surface() -> Any:
        return levels.Levels(ours, crs, layers["probability"], context)

    timed("read the window", runs, surface)
    alone, beside = surface(), surface()
    timed("leave a neighbour its ground", runs, lambda: surface().keep_off(neighbour))
    beside.keep_off(neighbour)
    for which, found in (("", alone), (", beside a neighbour", beside)):
        steps = found.levels()
        timed(f"16 levels{which}", runs, lambda found=found, steps=steps: found.outlines(steps))
        middle = steps[len(steps) // 2]
        timed(f"one level (a frame of the slider){which}", runs, lambda found=found, level=middle: found.outline(level))
    timed("compare with the reference", runs, lambda: metrics.compare(ours, theirs, crs, context))

    to_metres = local.local_map(QgsPointXY(*MIDDLE), crs, context)
    start = to_metres.transform(QgsPointXY(ours.vertexAt(0)))
    window = edge_path.Window(to_metres.destinationCrs(), start, PIXEL)
    strength = edge_path.edges(layers["imagery"], layers["dem"], window)
    timed("first click: edges of image and slope", runs, lambda: edge_path.edges(layers["imagery"], layers["dem"], window))
    timed("first click: graph and paths, 161 x 161 cells", runs, lambda: edge_path.EdgePaths(strength, window.cell_of(start)))
    paths = edge_path.EdgePaths(strength, window.cell_of(start))
    end = to_metres.transform(QgsPointXY(ours.vertexAt(60)))
    timed("path to the mouse", runs, lambda: edge_path.smoothed(window.places(paths.to(window.cell_of(end)))))

    def redrawn() -> QgsGeometry:
        boundary = redraw.Boundary(ours, to_metres, start)
        return boundary.redrawn(boundary.nearest(start), boundary.nearest(end), [])

    timed("second click: the new boundary", runs, redrawn)
    print(f"\n{ours.area() / 1e6:.2f} km2, window of {alone.values.shape[0]} x {alone.values.shape[1]} pixels of {PIXEL:g} m; {runs} runs")


def main() -> None:
    """Make the rasters, measure."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=20)
    options = arguments.parse_args()
    application = QgsApplication([], False)
    application.initQgis()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.runs)
        QgsProject.instance().clear()
    application.exitQgis()


if __name__ == "__main__":
    main()
