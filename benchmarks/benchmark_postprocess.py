"""How long post-processing takes, and whether it finds what is there: tile polygons of made-up detections, with known truth.

    python benchmarks/benchmark_postprocess.py [--polygons 100000] [--pixel 10] [--profile]

Rock glaciers of 0.05 to 0.2 km2 stand apart on plains that are tiled as in the paper (352 px, half of it overlapping); each
tile draws what it sees with a boundary of its own, in pixel edges: the finer the pixels, the more vertices. Added are false
detections by a single tile, which have to go, and specks below the smallest area. A permafrost raster of 1 km cells covers
the western half of each plain. Steps 4 and 5, support and union, are the merging.
"""

from __future__ import annotations

import argparse
import cProfile
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import shapes

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.postprocess import postprocess
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, read_polygons, write_polygons
from jobs import PostprocessJob


class Stopwatch(SilentReporter):
    """Takes the time of each stage that a command tells of."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[tuple[str, float]] = []

    def progress(self, fraction: float, text: str = "") -> None:
        super().progress(fraction, text)
        if text and (not self.stages or text != self.stages[-1][0]):
            self.stages.append((text, time.perf_counter()))

    def seconds(self) -> dict[str, float]:
        """Stage -> seconds."""
        ends = [start for _, start in self.stages[1:]]
        return {text: end - start for (text, start), end in zip(self.stages, ends, strict=False)}


TILE, STRIDE, TILES = 352, 176, 20
SIZE = (TILES - 1) * STRIDE + TILE
SPACING_M, BLOB_M, SPECK_M = 800, 170, 60
LEFT, TOP = 300_000.0, 5_000_000.0


def landscape(rng: np.random.Generator, pixel: float) -> tuple[NDArray[np.float32], int]:
    """Distance from the nearest rock glacier's centre in units of its radius in that direction, (rows, cols); their number."""
    spacing = round(SPACING_M / pixel)
    objects = SIZE // spacing
    field = np.full((SIZE, SIZE), 9.0, dtype=np.float32)
    rows, columns = np.mgrid[:spacing, :spacing] - spacing // 2
    direction, distance = np.arctan2(rows, columns), np.hypot(rows, columns)
    for row in range(objects):
        for column in range(objects):
            lobes, turn, size = rng.integers(2, 6), rng.uniform(0, 6), rng.uniform(120, 250) / pixel
            radius = size * (1 + 0.15 * np.sin(lobes * direction + turn))
            place = np.s_[row * spacing : (row + 1) * spacing, column * spacing : (column + 1) * spacing]
            field[place] = distance / radius
    return field, objects**2


def plain(rng: np.random.Generator, pixel: float) -> tuple[PolygonLayer, int, float]:
    """Tile polygons of one plain, how many rock glaciers stand on it, and the km2 that the tiles together draw of them."""
    field, count = landscape(rng, pixel)
    looks = np.zeros(SIZE, dtype=np.int32)
    for start in range(0, SIZE - TILE + 1, STRIDE):
        looks[start : start + TILE] += 1
    coverage = np.outer(looks, looks)
    seen = np.zeros((SIZE, SIZE), dtype=bool)
    between = np.array([np.interp(np.arange(TILE), np.arange(0, TILE + 8, 8), row) for row in np.eye(TILE // 8 + 1)]).T
    polygons, tiles, coverages = [], [], []
    for tile in range(TILES**2):
        top, left = (index * STRIDE for index in divmod(tile, TILES))
        window = np.s_[top : top + TILE, left : left + TILE]
        noise = between @ rng.normal(0, 0.06, (between.shape[1],) * 2) @ between.T
        mask = field[window] + noise < 1
        seen[window] |= mask
        for side in (
            (round(BLOB_M / pixel), round(SPECK_M / pixel))
            if 0 < tile % TILES < TILES - 1 and tile // TILES % 7 == 3 and tile % 5 == 2
            else ()
        ):
            free = np.argwhere(np.lib.stride_tricks.sliding_window_view(field[window], (side, side))[::9, ::9].min(axis=(2, 3)) > 1.5)
            if len(free):
                row, column = free[rng.integers(len(free))] * 9
                mask[row : row + side, column : column + side] = True
        transform = Affine(pixel, 0, LEFT + left * pixel, 0, -pixel, TOP - top * pixel)
        for outline, _ in shapes(mask.astype(np.uint8), mask=mask, transform=transform):
            polygon = shapely.Polygon(outline["coordinates"][0], outline["coordinates"][1:])
            if polygon.area < 1000:
                continue
            x, y = polygon.centroid.coords[0]
            polygons.append(polygon)
            tiles.append(tile)
            coverages.append(coverage[int((TOP - y) / pixel), int((x - LEFT) / pixel)])
    fields = {"tile": np.array(tiles), "coverage": np.array(coverages, dtype=float)}
    return PolygonLayer(np.array(polygons, dtype=object), CRS.from_epsg(32647), fields), count, float(seen.sum()) * pixel**2 / 1e6


def repeated(layer: PolygonLayer, copies: int, pixel: float) -> PolygonLayer:
    """The plain beside itself, with tile numbers of their own."""
    across = SIZE * pixel + 1000
    geometries = [shapely.transform(layer.geometries, lambda places, c=copy: places + [0.0, -c * across]) for copy in range(copies)]
    fields = {
        "tile": np.concatenate([layer.fields["tile"] + copy * TILES**2 for copy in range(copies)]),
        "coverage": np.tile(layer.fields["coverage"], copies),
        "probability_mean": np.linspace(0.6, 0.9, copies * len(layer)),
        "probability_max": np.linspace(0.7, 1.0, copies * len(layer)),
    }
    return PolygonLayer(np.concatenate(geometries), layer.crs, fields)


def write_permafrost(path: Path, bottom: float, pixel: float) -> None:
    """Cells of 1 km, 1 where the western half is, 0 east of it."""
    rows, columns = int((TOP - bottom) / 1000) + 2, int(SIZE * pixel / 1000) + 2
    cells = np.zeros((rows, columns), dtype=np.uint8)
    cells[:, : columns // 2] = 1
    profile = {"driver": "GTiff", "width": columns, "height": rows, "count": 1, "dtype": "uint8", "nodata": 255, "crs": "EPSG:32647"}
    with rasterio.open(path, "w", **profile, transform=Affine(1000, 0, LEFT - 300, 0, -1000, TOP + 300)) as dataset:
        dataset.write(cells, 1)


def main() -> None:
    """Make the tile polygons, post-process them, print what was there, what came out and how long it took."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--polygons", type=int, default=100_000)
    arguments.add_argument("--pixel", type=float, default=10.0, help="pixel size in metres")
    arguments.add_argument("--profile", action="store_true", help="print where the time goes")
    options = arguments.parse_args()
    layer, count, area = plain(np.random.default_rng(1), options.pixel)
    copies = max(1, round(options.polygons / len(layer)))
    layer = repeated(layer, copies, options.pixel)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_polygons(folder / "tile_polygons.gpkg", layer, "tile_polygons")
        write_permafrost(folder / "permafrost.tif", float(shapely.total_bounds(layer.geometries)[1]), options.pixel)
        job = PostprocessJob(
            str(folder / "tile_polygons.gpkg"),
            str(folder / "outlines.gpkg"),
            permafrost=str(folder / "permafrost.tif"),
            permafrost_classes="1",
        )
        profile = cProfile.Profile()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        started, started_cpu = time.perf_counter(), time.process_time()
        run = profile.runcall if options.profile else lambda command, *inputs: command(*inputs)
        stopwatch = Stopwatch()
        result = run(postprocess, job, stopwatch)
        seconds, cpu = time.perf_counter() - started, time.process_time() - started_cpu
        outlines = read_polygons(folder / "outlines.gpkg")
    vertices = shapely.get_num_coordinates(layer.geometries).sum()
    print(f"{len(layer)} tile polygons with {vertices / 1e6:.1f} M vertices: {seconds:.1f} s ({cpu:.1f} s of one core)")
    print(
        f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB, {before:.2f} GB of it for making the polygons"
    )
    for stage, duration in stopwatch.seconds().items():
        print(f"  {duration:>6.1f} s  {stage}")
    merging = sum(duration for stage, duration in stopwatch.seconds().items() if stage.startswith(("step 4", "step 5")))
    print(f"merging (steps 4 and 5) {merging:.1f} s")
    for step in result["steps"]:
        print(f"  {step['step']:<12}{step['in']:>8} -> {step['out']:<8}{step['touched']:>8} touched {step['area_km2']:>10.1f} km2")
    print(f"outlines {len(outlines)}, rock glaciers there {copies * count}")
    print(f"area {result['total_area_km2']:.1f} km2, drawn by the tiles together {copies * area:.1f} km2")
    if options.profile:
        profile.print_stats("tottime")


if __name__ == "__main__":
    main()
