"""What bounds an outline: the union of tiles, or the contour of the blended probability. Both against simulated truth.

    python benchmarks/benchmark_boundary.py [--scenes 6] [--first-seed 9001] [--model NAME OR FOLDER]

Needs the packages of requirements/training.txt. Pixels of outlines and of true rock glaciers are counted over all scenes; a rock
glacier of at least the smallest area is half covered, or touched; an outline with no pixel of any rock glacier is false.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from affine import Affine
from rasterio.features import rasterize

from engine.detect import detect
from engine.postprocess import postprocess
from engine.prepare import prepare
from engine.rasters import Grid, new_geotiff
from engine.reporting import SilentReporter
from engine.vectors import read_polygons
from jobs import BOUNDARIES, DetectJob, PostprocessJob, PrepareJob
from model.simulator import Landscape, simulate

SIDE = 600
MIN_AREA = PostprocessJob("", "").min_area


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--first-seed", type=int, default=9001)
    parser.add_argument("--model", default="")
    options = parser.parse_args()
    counts = {boundary: np.zeros(8) for boundary in BOUNDARIES}
    for seed in range(options.first_seed, options.first_seed + options.scenes):
        landscape = simulate(seed, SIDE, SIDE)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            map_in(landscape, place, options.model)
            for boundary in BOUNDARIES:
                job = PostprocessJob(
                    str(place / "tiles.gpkg"),
                    str(place / "outlines.gpkg"),
                    boundary=boundary,
                    probability=str(place / "p.tif"),
                    smoothing=0.0,
                )
                postprocess(job, SilentReporter())
                counts[boundary] += count(read_polygons(job.output).geometries, landscape.labels, landscape.transform)
    for boundary, (both, outline, truth, half, touched, there, outlines, false) in counts.items():
        print(
            f"{boundary:12} IoU {both / (outline + truth - both):.3f}  precision {both / outline:.3f}  recall {both / truth:.3f}  "
            f"half covered {half / there:.2f}  touched {touched / there:.2f}  of {there:.0f};  {outlines:.0f} outlines, {false:.0f} false"
        )


def map_in(landscape: Landscape, place: Path, model: str) -> None:
    """Scene, stack, tile polygons and probability."""
    rows, columns = landscape.labels.shape
    with new_geotiff(
        place / "scene.tif", Grid(landscape.crs, landscape.transform, columns, rows), ("red", "green", "blue", "nir")
    ) as scene:
        scene.write(landscape.reflectance)
    prepare(PrepareJob(str(place / "scene.tif"), str(place / "stack.tif"), sensor="reflectance"), SilentReporter())
    job = DetectJob(str(place / "stack.tif"), str(place / "tiles.gpkg"), probability=str(place / "p.tif"), model=model, device="cpu")
    detect(job, SilentReporter())


def count(outlines: NDArray[np.object_], labels: NDArray[np.int32], transform: Affine) -> NDArray[np.float64]:
    """Pixels of both, outlines, truth; rock glaciers half covered, touched, there; outlines, and those that are false."""
    burnt = [rasterize([outline], out_shape=labels.shape, transform=transform, dtype="uint8") > 0 for outline in outlines]
    found = np.any(burnt, axis=0) if burnt else np.zeros(labels.shape, dtype=bool)
    pixels = np.bincount(labels.ravel())[1:]
    share = np.bincount(labels[found], minlength=len(pixels) + 1)[1:] / np.maximum(pixels, 1)
    there = pixels * abs(transform.determinant) >= MIN_AREA
    false = sum(not labels[one].any() for one in burnt)
    objects = [(share[there] >= 0.5).sum(), (share[there] > 0).sum(), there.sum()]
    return np.array([(found & (labels > 0)).sum(), found.sum(), (labels > 0).sum(), *objects, len(outlines), false], dtype=np.float64)


if __name__ == "__main__":
    main()
