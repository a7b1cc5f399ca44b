"""How long a review session of many outlines takes to start and to update.

    python benchmarks/benchmark_review.py [--outlines 44000] [--keep FOLDER]

The made-up inventories of benchmark_assess.py, predicted outlines with a mean probability. The session is started; a tenth of it is
decided; the update brings a new detection, in which one outline in ten has moved, one in fifty is gone and as many are new. The
engine's own commands, each in a process of its own. --keep leaves files and session in a folder, for the dock.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import shapely
from pyproj import CRS

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.benchmark_assess import inventories
from benchmarks.usage import wait
from engine.outputs import whole_file
from engine.review_file import read_session, snapshot, write_session
from engine.vectors import PolygonLayer, write_polygons

DECIDED, MOVED, GONE, NEW = 0.1, 0.1, 0.02, 0.02
STEP = 0.0005
"""Degrees that moved outlines move by, some 50 m."""


def run(command: str, *arguments: str) -> None:
    """Run a command of the engine and print what it used."""
    started = time.perf_counter()
    engine = [sys.executable, str(Path(__file__).resolve().parents[1] / "engine"), command, *arguments]
    status, usage = wait(subprocess.Popen(engine, text=True))
    if status:
        sys.exit(status)
    seconds, core = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    print(f"{command}: {seconds:.1f} s, {core:.1f} s of one core, largest memory {usage.ru_maxrss / 1e6:.2f} GB")


def write(path: Path, outlines: np.ndarray, rng: np.random.Generator | None) -> None:
    """A layer of outlines, with a mean probability where there is chance to draw it from."""
    fields = {"id": np.arange(1, len(outlines) + 1)}
    if rng is not None:
        fields["probability_mean"] = rng.beta(6, 2, len(outlines))
    write_polygons(path, PolygonLayer(outlines, CRS.from_epsg(4326), fields), path.stem)


def decide(path: Path, rng: np.random.Generator) -> None:
    """Accept a tenth of the queue."""
    with snapshot(str(path)) as place:
        session = read_session(place)
    session.outlines.fields["status"][rng.random(len(session.outlines)) < DECIDED] = "accepted"
    with whole_file(path) as place:
        write_session(place, session)


def main() -> None:
    """Make the inventories, start the session, decide, update."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--outlines", type=int, default=44_000)
    arguments.add_argument("--keep", type=Path, help="folder to leave the files in")
    options = arguments.parse_args()
    rng = np.random.default_rng(1)
    reference, predicted, _ = inventories(options.outlines, rng)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "manual.gpkg", reference, None)
        write(folder / "predicted.gpkg", predicted, rng)
        review = folder / "review.gpkg"
        run("start-review", str(folder / "predicted.gpkg"), str(review), "--manual", str(folder / "manual.gpkg"))
        if options.keep:
            shutil.copytree(folder, options.keep, dirs_exist_ok=True)
        decide(review, rng)
        chance = rng.random(len(predicted))
        moved = chance < MOVED
        again = predicted.copy()
        again[moved] = shapely.transform(predicted[moved], lambda places: places + STEP)
        found = shapely.transform(predicted[chance > 1 - NEW], lambda places: places + [0, 30])
        write(folder / "again.gpkg", np.concatenate([again[chance >= GONE], found]), rng)
        run("update-review", str(review), str(review), "--predicted", str(folder / "again.gpkg"))


if __name__ == "__main__":
    main()
