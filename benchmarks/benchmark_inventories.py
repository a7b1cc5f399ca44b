"""How long comparing, sampling, exporting and importing take with inventories of the size of a mountain range.

    python benchmarks/benchmark_inventories.py [--outlines 44000]

The outlines are those of benchmark_assess.py. Every command runs as a person types it, in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pyproj import CRS

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.benchmark_assess import inventories
from benchmarks.usage import wait
from engine.vectors import PolygonLayer, write_polygons

ENGINE = Path(__file__).resolve().parents[1] / "engine"

COMMANDS = {
    "compare-inventories": "older.gpkg newer.gpkg --output changes.gpkg",
    "compare-inventories, all layers": "older.gpkg newer.gpkg --output c.gpkg --disagreements d.gpkg --consensus m.gpkg --operators o.csv",
    "design-sample": "newer.gpkg points.gpkg",
    "export-inventory": "newer.gpkg inventory.gpkg --form rgik",
    "import-inventory": "inventory.gpkg outlines.gpkg",
}


def make(folder: Path, count: int) -> None:
    """Two inventories of the same ground."""
    older, newer, _ = inventories(count, np.random.default_rng(1))
    for name, outlines in (("older", older), ("newer", newer)):
        layer = PolygonLayer(outlines, CRS.from_epsg(4326), {"id": np.arange(1, len(outlines) + 1)})
        write_polygons(folder / f"{name}.gpkg", layer, name)


def run(name: str, arguments: str, folder: Path) -> None:
    """Run one command and print what it took."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(ENGINE), *name.split(",", maxsplit=1)[0].split(), *arguments.split()],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    status, usage = wait(process)
    seconds = time.perf_counter() - started
    state = "" if status == 0 else f"; exit status {status}"
    print(
        f"{name:<34}{seconds:7.1f} s {usage.ru_utime + usage.ru_stime:7.1f} s of one core {usage.ru_maxrss / 1e6:6.2f} GB{state}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outlines", type=int, default=44_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        # in a process of its own: a child's largest memory begins with that of its parent
        making = multiprocessing.get_context("spawn").Process(target=make, args=(Path(temporary), options.outlines))
        making.start()
        making.join()
        for name, arguments in COMMANDS.items():
            run(name, arguments, Path(temporary))


if __name__ == "__main__":
    main()
