"""What Prepare and Detect cost: share of the time inside the network, largest memory, seconds to the first sign of life.

    python benchmarks/benchmark_detect.py [--model FOLDER] [--rows 1024 2048 4096] [--columns 2048] [--device cpu]

Runs the engine as QGIS does, one process for each job, on a simulated landscape of 1024 x 1024 pixels that is repeated until
the scene has its size: every row of tiles then costs the same, and memory that grows with the number of rows would show.
Needs the packages of requirements/training.txt. Prints a Markdown table for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.inference import available_cores  # noqa: E402 the repository root has to be on sys.path first
from jobs import DetectJob, Job, PrepareJob, to_json  # noqa: E402

LANDSCAPE_PX = 1024
DN_PER_REFLECTANCE = 10_000


@dataclass(frozen=True)
class Run:
    """One job in a process of its own.

    ``result`` of the job; ``seconds`` from start to exit; ``first_progress`` seconds to the first progress line;
    ``megabytes`` largest resident memory.
    """

    result: dict[str, Any]
    seconds: float
    first_progress: float
    megabytes: float


def run(job: Job) -> Run:
    """Run the engine as QGIS does: a job on its standard input, JSON lines on its standard output."""
    started = time.perf_counter()
    engine = subprocess.Popen([sys.executable, str(ROOT / "engine"), "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert engine.stdin is not None and engine.stdout is not None
    engine.stdin.write(to_json(job) + "\n")
    engine.stdin.flush()  # and stays open: its end would cancel
    first_progress: float | None = None
    message: dict[str, Any] = {}
    for line in engine.stdout:
        message = json.loads(line)
        if message["type"] == "progress" and first_progress is None:
            first_progress = time.perf_counter() - started
    _, _, usage = os.wait4(engine.pid, 0)
    seconds = time.perf_counter() - started
    if message.get("type") != "result" or first_progress is None:
        sys.exit(f"{job.command} failed: {message.get('text')}")
    kilobyte = 1 if platform.system() == "Darwin" else 1024
    return Run(message["result"], seconds, first_progress, usage.ru_maxrss * kilobyte / 1e6)


def write_scenes(folder: Path, sizes: list[tuple[int, int]]) -> None:
    """Scenes of uint16 reflectance x 10 000, one landscape repeated, named ``ROWSxCOLUMNS.tif``.

    Called in a process apart: the memory of a process counts for the children that it starts.
    """
    import numpy as np  # noqa: PLC0415
    import rasterio  # noqa: PLC0415

    from model.simulator import simulate  # noqa: PLC0415

    landscape = simulate(11, LANDSCAPE_PX, LANDSCAPE_PX)
    digital = np.round(landscape.reflectance * DN_PER_REFLECTANCE).clip(1, 65535).astype(np.uint16)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 4, "nodata": 0, "tiled": True, "compress": "deflate", "predictor": 2}
    for rows, columns in sizes:
        place = {"width": columns, "height": rows, "crs": landscape.crs, "transform": landscape.transform}
        with rasterio.open(folder / f"{rows}x{columns}.tif", "w", **profile, **place) as dataset:
            for _, window in dataset.block_windows(1):
                down = np.arange(window.row_off, window.row_off + window.height) % LANDSCAPE_PX
                right = np.arange(window.col_off, window.col_off + window.width) % LANDSCAPE_PX
                dataset.write(digital[:, down[:, None], right], window=window)


def main() -> None:
    """Make the scenes, run the jobs, print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", default="", help="name or folder of a model (default: the bundled one)")
    arguments.add_argument("--rows", type=int, nargs="+", default=[1024, 2048, 4096])
    arguments.add_argument("--columns", type=int, default=2048)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--batch-size", type=int, default=0)
    options = arguments.parse_args()
    print(f"{available_cores()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    print("| rows x columns | job | seconds | in the network | share | tiles (looked at) | ms a tile | first progress, s | peak MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
            apart.submit(write_scenes, folder, [(rows, options.columns) for rows in options.rows]).result()
        for rows in options.rows:
            size, scene, stack = f"{rows} x {options.columns}", str(folder / f"{rows}x{options.columns}.tif"), str(folder / "stack.tif")
            prepared = run(PrepareJob(scene, stack, sensor="custom", scale=1 / DN_PER_REFLECTANCE))
            print(
                f"| {size} | prepare | {prepared.seconds:.1f} | | | | | {prepared.first_progress:.2f} | {prepared.megabytes:.0f} |",
                flush=True,
            )
            polygons, probability = str(folder / "tile_polygons.gpkg"), str(folder / "probability.tif")
            detected = run(
                DetectJob(stack, polygons, probability, model=options.model, device=options.device, batch_size=options.batch_size)
            )
            result = detected.result
            looked, inside = result["tiles"] - result["tiles_skipped"], result["seconds_in_network"]
            print(
                f"| {size} | detect, {result['model']}, {result['device_used']}, {result['count']} polygons | {detected.seconds:.1f} "
                f"| {inside:.1f} | {100 * inside / detected.seconds:.1f} % | {result['tiles']} ({looked}) | {1000 * inside / looked:.1f} "
                f"| {detected.first_progress:.2f} | {detected.megabytes:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
